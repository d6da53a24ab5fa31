// One run of the benchmarks: a disk, the contenders on it, the cases one after the other; and an end that cleans up.
import { mkdirSync } from 'node:fs';
import { openDisk } from './disk.mjs';
import { cases } from './cases/cases.mjs';
import { describeEnvironment } from './environment.mjs';
import { killAll } from './processes.mjs';
import { ratioOf } from './row.mjs';
import { Stage } from './stage.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** As a shell says that a program was ended by a signal. */
const EXIT_INTERRUPTED = 130;

function progress(rows) {
  const ratios = rows.map((entry) => ratioOf(entry, 'scorpio')?.toFixed(2)).filter(Boolean);
  return ratios.length > 0 ? `  ${ratios.join('x, ')}x` : '  done';
}

async function runCases(stage, names) {
  const rows = [];
  for (const name of names) {
    stage.log(`${name} ...`);
    stage.beginCase();
    const measured = await cases[name](stage);
    rows.push(...measured.map((entry) => ({ case: name, ...entry })));
    stage.log(progress(measured));
  }
  return rows;
}

/**
 * Measures the named cases; resolves with `{ environment, columns, rows }`. Whatever happens, Ctrl-C included, nothing
 * that was started, mounted or written stays.
 */
export async function measure({ root, names, contenders, quick, dir, profile, log }) {
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const disk = await openDisk(dir, log);
  const stage = new Stage({ folder: disk.folder, quick, contenders, profile, log });
  let closing;
  const close = () => (closing ??= stage.close().finally(() => disk.close()));
  const interrupted = () => {
    log('stopping');
    void close().finally(() => process.exit(EXIT_INTERRUPTED));
  };
  for (const signal of SIGNALS) process.on(signal, interrupted);
  process.on('exit', killAll);
  try {
    log(`measuring on ${disk.description}`);
    const environment = await describeEnvironment({ root, stage, disk });
    const columns = contenders.map(({ id, title, kind }) => ({ id, title, kind }));
    return { environment, columns, rows: await runCases(stage, names) };
  } finally {
    await close();
    for (const signal of SIGNALS) process.off(signal, interrupted);
  }
}
