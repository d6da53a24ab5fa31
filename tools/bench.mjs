// `npm run bench`: what Scorpio takes, as ratios against the local disk in the same run.
//
//   npm run bench                          everything
//   npm run bench -- --quick               less of everything, in a minute
//   npm run bench -- files large           only these cases
//   npm run bench -- --json FILE           raw samples
//   npm run bench -- --profile DIR         a CPU profile of every daemon
//   npm run bench -- --dir DIR             where temporary files go (default: the system's folder for them)
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { files } from '../test/bench/cases/files.mjs';
import { git } from '../test/bench/cases/git.mjs';
import { large } from '../test/bench/cases/large.mjs';
import { latency } from '../test/bench/cases/latency.mjs';
import { mount } from '../test/bench/cases/mount.mjs';
import { tree } from '../test/bench/cases/tree.mjs';
import { write } from '../test/bench/cases/write.mjs';
import { describeEnvironment } from '../test/bench/environment.mjs';
import { killAll } from '../test/bench/processes.mjs';
import { median, renderTable } from '../test/bench/rows.mjs';
import { Stage } from '../test/bench/stage.mjs';
import { fail, prepare, root } from './prepare.mjs';

const cases = { mount, tree, files, large, latency, write, git };
const usage = `npm run bench -- [--quick] [--json FILE] [--profile DIR] [--dir DIR] [${Object.keys(cases).join(' | ')} ...]`;

let parsed;
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
} catch (error) {
  fail(`${error.message}; ${usage}`);
}
const { values: options, positionals } = parsed;
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const unknown = positionals.find((name) => !Object.hasOwn(cases, name));
if (unknown !== undefined) fail(`there is no case ${unknown}; ${usage}`);
const names = positionals.length > 0 ? positionals : Object.keys(cases);

prepare();
const profile = options.profile === undefined ? undefined : resolve(options.profile);
if (profile !== undefined) mkdirSync(profile, { recursive: true });

/** Progress goes to stderr: stdout is the result alone. */
const note = (text) => console.error(`[${new Date().toISOString().slice(11, 19)}] ${text}`);
const stage = new Stage({ parent: resolve(options.dir), quick: options.quick, profile, log: note });

let closing;
const close = () => (closing ??= stage.close());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    note('stopping');
    void close().finally(() => process.exit(1));
  });
}
process.on('exit', killAll);

function printResult(environment, rows) {
  console.log(
    `\n${Object.entries(environment)
      .map(([key, value]) => `${key.padEnd(11)} ${value}`)
      .join('\n')}\n`,
  );
  console.log(renderTable(rows));
  console.log(
    '\nMedian ± half the range. Ratios compare medians; lower is better, 1.00x is as fast as the other.',
  );
  console.log('Raw samples (ms; memory in bytes), Scorpio | the other:');
  for (const { what, scorpio, baseline } of rows) {
    const list = (samples) => samples.map((sample) => Math.round(sample * 10) / 10).join(' ');
    console.log(`  ${what.trim()}: ${list(scorpio)} | ${list(baseline)}`);
  }
}

try {
  const environment = await describeEnvironment({
    root,
    folder: stage.folder,
    quick: options.quick,
    canDropCaches: stage.canDropCaches,
  });
  const rows = [];
  for (const name of names) {
    note(`${name} ...`);
    for (const entry of await cases[name](stage)) {
      rows.push({ case: name, ...entry });
      note(
        `  ${entry.what.trim()}: ${median(entry.scorpio).toFixed(0)}${entry.ratio ? ` (${entry.ratio.toFixed(2)}x)` : ''}`,
      );
    }
  }
  printResult(environment, rows);
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ environment, rows }, null, 1)}\n`);
  await close();
} catch (error) {
  // What fails because everything is being stopped is no failure of its own.
  if (closing === undefined) {
    await close();
    fail(error.stack ?? String(error));
  }
}
