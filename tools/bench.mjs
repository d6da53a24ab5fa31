// `npm run bench`: Scorpio, the local disk and other union filesystems at the same work in the same run, as one table.
//
//   npm run bench                          everything, in an hour or more
//   npm run bench -- --quick               less of everything, in two minutes
//   npm run bench -- files large           only these cases
//   npm run bench -- --readme              writes the README's table
//   npm run bench -- --help                the other options; docs/benchmarks.md says what each row means
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseContenders, peerPrograms } from '../test/bench/contenders/contenders.mjs';
import { describeNoise } from '../test/bench/noise.mjs';
import { readOptions, usage } from '../test/bench/options.mjs';
import { writeMarkdown } from '../test/bench/readme.mjs';
import { measure } from '../test/bench/run.mjs';
import { renderSamples, renderTable } from '../test/bench/table.mjs';
import { fail, hasProgram, installOptional, prepare, root } from './prepare.mjs';

/** Progress goes to stderr: stdout is the result alone. */
const log = (text) => console.error(`[${new Date().toISOString().slice(11, 19)}] ${text}`);

function optionsOrEnd() {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    return fail(`${error.message}\n\n${usage}`);
  }
}

async function measureAll(options) {
  prepare();
  installOptional(peerPrograms, 'without them their columns stay empty');
  const contenders = await chooseContenders({ root, wanted: options.columns, hasProgram });
  const keep = (result) => {
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
  };
  return measure({ ...options, root, contenders, log, keep });
}

function print(result) {
  const lines = Object.entries(result.environment).map(([key, value]) => `${key.padEnd(11)} ${value}`);
  console.log(`\n${lines.join('\n')}\n`);
  console.log(renderTable(result));
  console.log(
    '\nMedians, and their ratio to the local disk in the same run: lower is better. ✓ and ✗ say whether the target is met.',
  );
  const noise = describeNoise(result);
  if (noise !== undefined) console.log(`\n${noise}`);
  console.log(`\nRaw samples (ms; memory in bytes):\n${renderSamples(result)}`);
}

const options = optionsOrEnd();
if (options.help) {
  console.log(usage);
  process.exit(0);
}
try {
  const result =
    options.from === undefined ? await measureAll(options) : JSON.parse(readFileSync(options.from, 'utf8'));
  print(result);
  if (options.readme) writeMarkdown(join(root, 'README.md'), result);
  // A peer may fail; Scorpio may not.
  const failed = result.rows.flatMap(({ failures }) => Object.keys(failures));
  process.exitCode = failed.some((id) => id === 'scorpio' || id === 'case') ? 1 : 0;
} catch (error) {
  fail(error.stack ?? String(error));
}
