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

/** Calls `close` and ends the process when it is interrupted or fails somewhere. Returns a function that undoes this. */
function closeOnEnd(close, log) {
  const end = (why, code) => {
    log(why);
    void close().finally(() => process.exit(code));
  };
  const interrupted = () => end('stopping', EXIT_INTERRUPTED);
  const broken = (error) => end(error.stack ?? String(error), 1);
  for (const signal of SIGNALS) process.on(signal, interrupted);
  process.on('uncaughtException', broken);
  process.on('exit', killAll);
  return () => {
    for (const signal of SIGNALS) process.off(signal, interrupted);
    process.off('uncaughtException', broken);
    process.off('exit', killAll);
  };
}

/**
 * Measures the named cases; resolves with `{ environment, columns, rows }`, of which `keep` is told after every case.
 * Whatever happens, Ctrl-C included, nothing that was started, mounted or written stays.
 */
export async function measure({ root, names, contenders, quick, dir, profile, log, keep }) {
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const opening = openDisk({ parent: dir, quick, log });
  let stage;
  let closing;
  const close = () =>
    (closing ??= opening.then((disk) => Promise.resolve(stage?.close()).finally(() => disk.close())));
  const undo = closeOnEnd(close, log);
  try {
    const disk = await opening;
    if (closing !== undefined) throw new Error('interrupted');
    stage = new Stage({ folder: disk.folder, quick, contenders, profile, log });
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
    undo();
  }
}
