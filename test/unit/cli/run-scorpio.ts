// Runs bin/scorpio.js as users do, in a folder of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');
const RUN_TIMEOUT_MS = 40_000;

/** How a run ended. */
export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder, an environment without any other configuration, and the program in both. */
export interface Sandbox {
  readonly folder: string;
  readonly storePath: string;
  readonly env: Record<string, string>;
  /** Runs to the end. */
  run(...args: string[]): Promise<Run>;
  /** The same in another folder. */
  runIn(cwd: string, ...args: string[]): Promise<Run>;
  /** Starts; the caller ends it. */
  start(...args: string[]): ChildProcess;
  remove(): Promise<void>;
}

/** Makes a sandbox. The program is the built one. */
export async function createSandbox(): Promise<Sandbox> {
  if (!existsSync(join(ROOT, 'dist/bundle/scorpio.js')))
    throw new Error('dist/ is missing; run: npm run build');
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'scorpio-cli-')));
  const storePath = join(folder, 'store');
  await mkdir(storePath);
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    HOME: join(folder, 'home'),
    SCORPIO_STORE_PATH: storePath,
    // Nobody listens there: a daemon of this machine must not be found.
    SCORPIO_HTTP_ADDR: '127.0.0.1:1',
  };
  const startIn = (cwd: string, args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [join(ROOT, 'bin/scorpio.js'), ...args], { cwd, env, stdio: 'pipe' });
  const runIn = async (cwd: string, ...args: string[]): Promise<Run> => {
    const child = startIn(cwd, args);
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS);
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((done) => child.once('close', done));
    clearTimeout(timer);
    return { code, stdout, stderr };
  };
  return {
    folder,
    storePath,
    env,
    start: (...args) => startIn(folder, args),
    run: (...args) => runIn(folder, ...args),
    runIn,
    async remove() {
      await rm(folder, { recursive: true });
    },
  };
}
