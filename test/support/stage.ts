// A folder with a configuration, and the program run in it as users do: servers, daemons and commands.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listMounts } from '../../src/fuse/kernel/mountinfo.ts';
import { findProcesses } from './leftovers.ts';
import { plainEnvironment, type ProgramResult, runProgram } from './run-program.ts';
import { makeTestFolder } from './test-folder.ts';

/** The launcher of the program. */
export const LAUNCHER: string = resolve(import.meta.dirname, '../../bin/scorpio.js');

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_INTERVAL_MS = 25;

/** Where a daemon listens, as it says itself. */
export interface DaemonInfo {
  readonly pid: number;
  /** `host:port` */
  readonly address: string;
}

/** A folder of its own, in which the program runs. */
export interface Stage extends AsyncDisposable {
  /** Without symbolic links. */
  readonly folder: string;
  path(...names: string[]): string;
  /** Writes the configuration; keys that are not given keep all files in the folder, and any port. */
  configure(keys: Readonly<Record<string, string | number>>): void;
  /** Runs a command of the program to its end. */
  scorpio(...args: string[]): Promise<ProgramResult>;
  /** As `scorpio`; rejects unless it exits with 0. Resolves with its output. */
  succeed(...args: string[]): Promise<string>;
  /** Serves a repository; resolves with the URL. */
  serveRepository(repository: string): Promise<string>;
  /** Starts a daemon in the foreground; resolves when it listens. */
  serve(): Promise<ChildProcess>;
  /** What `daemon.json` says; undefined where there is none. */
  daemon(): DaemonInfo | undefined;
  /** Processes of the program that run in this folder, but for the servers of repositories. */
  daemonPids(): number[];
  /** Servers of repositories that run in this folder. */
  serverPids(): number[];
  /** Mount points in this folder. */
  mountpoints(): string[];
  /** Ends a process of this stage, and waits for its end. */
  end(process: ChildProcess | number, signal: NodeJS.Signals): Promise<void>;
  /** What processes in the foreground, and daemons in the background, have logged. */
  log(): string;
  /** Ends everything and removes the folder; throws when something was left or had to be forced. */
  dispose(): Promise<void>;
}

/** Makes a stage with a configuration for a server that nobody runs. */
export function createStage(): Stage {
  const stage = new TestStage(realpathSync(makeTestFolder()));
  stage.configure({});
  return stage;
}

class TestStage implements Stage {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];
  #log = '';

  constructor(folder: string) {
    this.folder = folder;
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  configure(keys: Readonly<Record<string, string | number>>): void {
    const all: Record<string, string | number> = {
      base_url: 'http://127.0.0.1:1',
      store_path: this.path('store'),
      http_addr: '127.0.0.1:0',
      ...keys,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
    writeFileSync(this.path('scorpio.toml'), lines.join(''));
  }

  scorpio(...args: string[]): Promise<ProgramResult> {
    return runProgram(process.execPath, this.#command(args), { cwd: this.folder });
  }

  async succeed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.scorpio(...args);
    if (code !== 0)
      throw new Error(`scorpio ${args.join(' ')}: exit ${code}\n${stdout}${stderr}${this.log()}`);
    return stdout;
  }

  async serveRepository(repository: string): Promise<string> {
    const from = this.#log.length;
    const server = this.#start('--http-addr', '127.0.0.1:0', 'mega-server', '--repo', repository);
    return this.#waitFor(server, () => /^serving .* at (http\S+)$/m.exec(this.#log.slice(from))?.[1]);
  }

  async serve(): Promise<ChildProcess> {
    const daemon = this.#start('serve');
    await this.#waitFor(daemon, () => (this.daemon()?.pid === daemon.pid ? true : undefined));
    return daemon;
  }

  daemon(): DaemonInfo | undefined {
    const file = this.path('store/daemon.json');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DaemonInfo) : undefined;
  }

  daemonPids(): number[] {
    return this.#pids(({ description }) => !description.includes(' mega-server '));
  }

  serverPids(): number[] {
    return this.#pids(({ description }) => description.includes(' mega-server '));
  }

  mountpoints(): string[] {
    return listMounts()
      .map(({ mountpoint }) => mountpoint)
      .filter((mountpoint) => mountpoint.startsWith(`${this.folder}/`));
  }

  async end(which: ChildProcess | number, signal: NodeJS.Signals): Promise<void> {
    const pid = typeof which === 'number' ? which : which.pid;
    if (pid === undefined) throw new Error('the process was never started');
    process.kill(pid, signal);
    for (const deadline = Date.now() + STOP_TIMEOUT_MS; Date.now() < deadline;) {
      if (typeof which === 'number' ? !isRunning(pid) : hasEnded(which)) return;
      await sleep(POLL_INTERVAL_MS);
    }
    throw new Error(`process ${pid} did not end on ${signal}\n${this.log()}`);
  }

  log(): string {
    const file = this.path('store/daemon.log');
    return this.#log + (existsSync(file) ? readFileSync(file, 'utf8') : '');
  }

  async dispose(): Promise<void> {
    const problems: string[] = [];
    for (const child of this.#children.reverse()) {
      if (hasEnded(child)) continue;
      await this.end(child, 'SIGTERM').catch((error: Error) => problems.push(error.message));
    }
    for (const pid of this.#pids(() => true)) {
      await this.end(pid, 'SIGTERM').catch((error: Error) => problems.push(error.message));
    }
    for (const pid of this.#pids(() => true)) process.kill(pid, 'SIGKILL');
    for (const mountpoint of this.mountpoints()) {
      problems.push(`still mounted: ${mountpoint}`);
      detach(mountpoint);
    }
    if (problems.length > 0) problems.push(this.log());
    rmSync(this.folder, { recursive: true, force: true });
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #pids(wanted: (found: { description: string }) => boolean): number[] {
    return findProcesses()
      .filter((found) => found.description.includes(`${this.folder}/`) && wanted(found))
      .map(({ description }) => Number(/^process (\d+)/.exec(description)?.[1]));
  }

  #command(args: readonly string[]): string[] {
    return [LAUNCHER, '--config-path', this.path('scorpio.toml'), ...args];
  }

  #start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, this.#command(args), {
      cwd: this.folder,
      env: plainEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    }
    this.#children.push(child);
    return child;
  }

  async #waitFor<Found>(child: ChildProcess, look: () => Found | undefined): Promise<Found> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline;) {
      const found = look();
      if (found !== undefined) return found;
      if (hasEnded(child)) break;
      await sleep(POLL_INTERVAL_MS);
    }
    throw new Error(`${child.spawnargs.join(' ')} did not start (exit ${child.exitCode})\n${this.#log}`);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Whether a process runs: one that ended, and whose parent has not asked for its end yet, does not. */
export function isRunning(pid: number): boolean {
  try {
    const isOver = /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    // Its files are closed when the last of its threads is gone.
    return !isOver || readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

/** By force: whoever waits for it is woken first. */
function detach(mountpoint: string): void {
  const connection = listMounts().find((mount) => mount.mountpoint === mountpoint)?.minor;
  const [command, ...args] = process.getuid?.() === 0 ? ['umount', '-l'] : ['fusermount3', '-uz'];
  try {
    writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, '1');
  } catch {
    // Where the control filesystem is not mounted, or not ours.
  }
  execFileSync(command, [...args, mountpoint], { timeout: STOP_TIMEOUT_MS, stdio: 'ignore' });
}
