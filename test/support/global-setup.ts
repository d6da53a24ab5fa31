// Runs once around the tests that mount: builds, cleans up after crashed runs, and sees to it that nothing hangs.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  findMounts,
  findProcesses,
  type Leftover,
  removeEverythingOf,
  removeLeftoversOfDeadRuns,
  waitUntilGone,
} from './leftovers.ts';
import { RUN_VARIABLE } from './test-folder.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const BUILD_TIMEOUT_MS = 120_000;
const DEFAULT_DEADLINE_S = 1800;

let watchdog: NodeJS.Timeout | undefined;

/** Before the first test. */
export async function setup(): Promise<void> {
  // Vitest calls this once for each project; they share a process and what is below.
  if (watchdog !== undefined) return;
  process.env[RUN_VARIABLE] = String(process.pid);
  await removeLeftoversOfDeadRuns();
  build();
  const deadline = Number(process.env['SCORPIO_TEST_DEADLINE_S'] ?? DEFAULT_DEADLINE_S);
  watchdog = setTimeout(() => {
    const ended = removeEverythingOf(process.pid).map(({ description }) => `  ${description}`);
    process.stderr.write(
      `the tests did not end within ${deadline} s (SCORPIO_TEST_DEADLINE_S); ended by force:\n${ended.join('\n')}\n`,
    );
  }, deadline * 1000);
  watchdog.unref();
}

/** After the last test. Fails when a mount or a process is left. */
export async function teardown(): Promise<void> {
  clearTimeout(watchdog);
  const ours = (): Leftover[] =>
    [...findMounts(), ...findProcesses()].filter(({ run }) => run === process.pid);
  const left = await waitUntilGone(ours);
  removeEverythingOf(process.pid);
  if (left.length > 0) {
    throw new Error(
      `the tests left behind:\n${left.map(({ description }) => `  ${description}`).join('\n')}`,
    );
  }
}

/** The tests run the built program. What the type checker says is not the business of tests. */
function build(): void {
  const main = join(PROJECT, 'dist/bundle/scorpio.js');
  if (!isWritable(PROJECT) || process.env['SCORPIO_TEST_SKIP_BUILD'] !== undefined) {
    if (!existsSync(main)) throw new Error(`${main} is missing: run npm run build first`);
    return;
  }
  try {
    const program = join(PROJECT, 'tools/build.mjs');
    execFileSync(process.execPath, [program], { timeout: BUILD_TIMEOUT_MS, stdio: 'pipe' });
  } catch (error) {
    if (!existsSync(main)) throw new Error(`the build failed: ${(error as Error).message}`, { cause: error });
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
