// All that can be checked without running the program: format, lint with the layer rules, types, dead code.
import { bin, prepare, run } from './prepare.mjs';

/** Runs the checks; ends the process at the first that fails. */
export function check() {
  run(bin('oxfmt'), ['--check']);
  run(bin('oxlint'), ['-c', 'oxlint.config.mjs', '--type-aware', '--deny-warnings']);
  run(bin('tsc'), ['--noEmit']);
  run(bin('knip'), []);
}

if (process.argv[1] === import.meta.filename) {
  prepare();
  check();
}
