// One run of the benchmarks: a disk, the contenders on it, the cases one after the other; and an end that cleans up.
import { mkdirSync } from 'node:fs';
import { openDisk } from './disk.mjs';
import { cases } from './cases/cases.mjs';
import { describeEnvironment } from './environment.mjs';
import { killAll } from './processes.mjs';
import { ratioOf, row } from './row.mjs';
import { Stage } from './stage.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** As a shell says that a program was ended by a signal. */
const EXIT_INTERRUPTED = 130;

function progress(rows) {
  const ratios = rows.map((entry) => ratioOf(entry, 'scorpio')?.toFixed(2)).filter(Boolean);
  return ratios.length > 0 ? `  ${ratios.join('x, ')}x` : '  done';
}

/** The rows of a case. One that cannot even be prepared (no network, no room) does not take the others with it. */
async function runCase(stage, name) {
  stage.log(`${name} ...`);
  stage.beginCase();
  try {
    const rows = await cases[name](stage);
    stage.log(progress(rows));
    return rows;
  } catch (error) {
    if (stage.isClosing) throw error;
    const text = error instanceof Error ? error.message : String(error);
    stage.log(`  failed: ${text}`);
    const failed = row('could not be measured');
    failed.failures.case = text;
    return [failed];
  }
}

/**
 * Measures the named cases; resolves with `{ environment, columns, rows }`, of which `keep` is told after every case.
 * Whatever happens, Ctrl-C included, nothing that was started, mounted or written stays.
 */
export async function measure({ root, names, contenders, quick, dir, profile, log, keep }) {
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
    const result = { environment, columns, rows: [] };
    for (const name of names) {
      const rows = await runCase(stage, name);
      result.rows.push(...rows.map((entry) => ({ case: name, ...entry })));
      keep(result);
    }
    return result;
  } finally {
    await close();
    for (const signal of SIGNALS) process.off(signal, interrupted);
  }
}
