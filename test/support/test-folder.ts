// Temporary folders of mounted tests. Their names say which run they belong to, so that another can clean up after it.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Environment variable that carries the process id of the run (of vitest's main process) to its workers. */
export const RUN_VARIABLE = 'SCORPIO_TEST_RUN';

const PREFIX = 'scorpio-test-run-';

/** Process id of the run that this process belongs to. */
export function currentRun(): number {
  return Number(process.env[RUN_VARIABLE] ?? process.pid);
}

/** Makes a temporary folder of this run. */
export function makeTestFolder(): string {
  return mkdtempSync(join(tmpdir(), `${PREFIX}${currentRun()}-`));
}

/** The runs whose folders a text (a path, a command line) names. */
export function runsNamedIn(text: string): number[] {
  return [...text.matchAll(/scorpio-test-run-(\d+)-/g)].map((match) => Number(match[1]));
}
