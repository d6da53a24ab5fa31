// Runs programs in a mount, from outside of the process that serves it, and never waits for one without end.
import { spawn } from 'node:child_process';
import { GIT_TEST_ENVIRONMENT } from './git-repository.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
/** Of what a program that failed has printed. */
const MAX_SHOWN_CHARACTERS = 4000;

/** How a program ended. */
export interface ProgramResult {
  /** -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and how a program runs. */
export interface ProgramOptions {
  readonly cwd?: string;
  /** On top of an environment that keeps the user's configuration out. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this its whole process group is killed. Default a minute. */
  readonly timeoutMs?: number;
}

/** Settings of Scorpio in the environment would change what is tested. */
export function plainEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined && !/^(SCORPIO_(?!TEST_)|SUDO_|XDG_|RUST_LOG|NODE_OPTIONS|npm_)/.test(name),
  );
  return { ...(Object.fromEntries(kept) as Record<string, string>), ...GIT_TEST_ENVIRONMENT };
}

/** Runs a program to its end. Rejects when it cannot be started, or does not end in time. */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd = '/', env = {}, timeoutMs = DEFAULT_TIMEOUT_MS }: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...plainEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      const what = [command, ...args].join(' ');
      reject(new Error(`did not end within ${timeoutMs} ms: ${what}\n${stdout}\n${stderr}`));
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, stdout, stderr });
    });
  });
}

/** Runs a script of the shell, with `$1` and so on; resolves with what it prints, rejects when it fails. */
export async function shell(
  script: string,
  options: ProgramOptions & { readonly args?: readonly string[] } = {},
): Promise<string> {
  const { args = [], ...rest } = options;
  const all = ['-c', `set -eu -o pipefail\n${script}`, 'bash', ...args];
  const { code, stdout, stderr } = await runProgram('bash', all, rest);
  if (code !== 0) {
    const shown = [stdout, stderr].map((text) => text.slice(-MAX_SHOWN_CHARACTERS));
    throw new Error([`exit ${code}: ${script}`, ...shown].join('\n'));
  }
  return stdout.replace(/\n$/, '');
}
