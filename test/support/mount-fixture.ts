// Real mounts for tests: a Mega server over a real repository and a daemon, each a process of its own.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { testBinding } from './binding.ts';
import { createGitRepository, type GitRepository, type PathSpec } from './git-repository.ts';
import { findMounts, type Leftover } from './leftovers.ts';
import { lowerSeed, type SeedTree } from './seed-tree.ts';
import { makeTestFolder } from './test-folder.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/scorpio.js');
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 20_000;
const POLL_INTERVAL_MS = 20;
/** A commit that a submodule names: nobody has to have it. */
const SUBMODULE_COMMIT = 'a'.repeat(40);

/** What a command of the CLI ended with. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One mount. */
export interface TestMount {
  readonly job: string;
  readonly mountpoint: string;
  readonly upperDir: string;
  unmount(): Promise<void>;
  /** Unmounts and mounts again, with what was written before. */
  remount(): Promise<void>;
}

/** A repository, its server and a daemon, and as many mounts of it as a test wants. */
export interface MountFixture extends AsyncDisposable {
  /** The folder of everything. */
  readonly folder: string;
  readonly repository: GitRepository;
  /** The daemon's HTTP server, `http://127.0.0.1:port`. */
  readonly daemonUrl: string;
  /** The Mega server. */
  readonly megaUrl: string;
  /** Process of the daemon. */
  readonly daemon: ChildProcess;
  /** Mounts a path of the repository (default: all) at a new folder, over a new, empty upper layer. */
  mount(path?: string): Promise<TestMount>;
  /** Runs a command of the CLI with the configuration of the daemon. */
  cli(...args: string[]): Promise<CommandResult>;
  /** What the daemon and the server logged. */
  log(): string;
  /** Unmounts all, ends the processes, removes the folder; throws when something refused to go. */
  dispose(): Promise<void>;
}

/** What a repository is made from. */
export function toGitFiles(seed: SeedTree): Record<string, PathSpec> {
  const files: Record<string, PathSpec> = {};
  for (const [path, node] of Object.entries(seed)) {
    if (node.kind === 'submodule') files[path] = { submodule: SUBMODULE_COMMIT };
    else if (node.kind === 'symlink') files[path] = { symlink: Buffer.from(node.target, 'latin1') };
    else files[path] = { content: node.content, mode: node.executable ? 0o100755 : 0o100644 };
  }
  return files;
}

/** Starts the processes. Ends them again when that fails. */
export async function createMountFixture(
  options: { seed?: SeedTree; settings?: Readonly<Record<string, string>> } = {},
): Promise<MountFixture> {
  const folder = makeTestFolder();
  const fixture = new Fixture(folder, options.settings ?? {});
  try {
    await fixture.start(options.seed ?? lowerSeed);
    return fixture;
  } catch (error) {
    await fixture.dispose().catch(() => undefined);
    throw new Error(`${(error as Error).message}\n${fixture.log()}`, { cause: error });
  }
}

class Fixture implements MountFixture {
  readonly folder: string;
  repository!: GitRepository;
  daemonUrl = '';
  megaUrl = '';
  daemon!: ChildProcess;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #children: ChildProcess[] = [];
  readonly #mounts = new Set<Mount>();
  #log = '';
  #count = 0;

  constructor(folder: string, settings: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#settings = settings;
  }

  async start(seed: SeedTree): Promise<void> {
    this.repository = await createGitRepository({ files: toGitFiles(seed) });
    const server = this.#run(
      '--http-addr',
      '127.0.0.1:0',
      '--state-file',
      this.#path('unused'),
      'mega-server',
      '--repo',
      this.repository.path,
    );
    this.megaUrl = await this.#waitFor(server, () => /^serving .* at (http\S+)$/m.exec(this.#log)?.[1]);
    writeFileSync(this.#path('scorpio.toml'), this.#config());
    mkdirSync(this.#path('mnt'));
    this.daemon = this.#run(
      '--config-path',
      this.#path('scorpio.toml'),
      '--http-addr',
      '127.0.0.1:0',
      'serve',
    );
    this.daemonUrl = await this.#waitFor(this.daemon, async () => {
      const text = await readFile(this.#path('store/daemon.json'), 'utf8').catch(() => '');
      const address = /"address"\s*:\s*"([^"]+)"/.exec(text)?.[1];
      return address === undefined ? undefined : `http://${address}`;
    });
  }

  async mount(path = '/'): Promise<TestMount> {
    const job = `job-${this.#count++}`;
    const mount = new Mount(this, job, path, this.#path(`mnt/${job}`));
    await mount.mount();
    this.#mounts.add(mount);
    return mount;
  }

  cli(...args: string[]): Promise<CommandResult> {
    const all = [LAUNCHER, '--config-path', this.#path('scorpio.toml'), ...args];
    return new Promise((done) => {
      execFile(process.execPath, all, { timeout: START_TIMEOUT_MS }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        done({ code, stdout, stderr });
      });
    });
  }

  log(): string {
    return this.#log;
  }

  /** A request to the daemon; the answer, or an error with what it says. */
  async request(method: string, route: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.daemonUrl}${route}`, {
      method,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  forgetMount(mount: Mount): void {
    this.#mounts.delete(mount);
  }

  async dispose(): Promise<void> {
    const problems: string[] = [];
    for (const mount of this.#mounts) {
      await mount.unmount().catch((error: Error) => problems.push(error.message));
    }
    for (const child of this.#children.reverse()) {
      if (!(await stop(child))) problems.push(`process ${child.pid} did not end on SIGTERM`);
    }
    const left = findMounts().filter(({ description }: Leftover) => description.includes(this.folder));
    for (const leftover of left) {
      problems.push(`left: ${leftover.description}`);
      leftover.remove();
    }
    rmSync(this.folder, { recursive: true, force: true });
    await this.repository?.remove();
    if (problems.length > 0) throw new Error(`${problems.join('\n')}\n${this.#log}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #path(name: string): string {
    return join(this.folder, name);
  }

  #config(): string {
    const keys: Record<string, string> = {
      base_url: this.megaUrl,
      lfs_url: `${this.megaUrl}/lfs`,
      store_path: this.#path('store'),
      workspace: this.#path('workspace'),
      config_file: this.#path('works.toml'),
      antares_upper_root: this.#path('upper'),
      antares_cl_root: this.#path('cl'),
      antares_mount_root: this.#path('default-mounts'),
      antares_state_file: this.#path('mounts.toml'),
      ...this.#settings,
      fuse_binding: testBinding,
    };
    return Object.entries(keys)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
      .join('');
  }

  #run(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [LAUNCHER, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    }
    this.#children.push(child);
    return child;
  }

  async #waitFor(
    child: ChildProcess,
    look: () => string | undefined | Promise<string | undefined>,
  ): Promise<string> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline;) {
      const found = await look();
      if (found !== undefined) return found;
      if (hasEnded(child)) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`);
      await sleep(POLL_INTERVAL_MS);
    }
    throw new Error(`${child.spawnargs.join(' ')} did not start within ${START_TIMEOUT_MS} ms`);
  }
}

class Mount implements TestMount {
  readonly job: string;
  readonly mountpoint: string;
  upperDir = '';
  readonly #fixture: Fixture;
  readonly #path: string;

  constructor(fixture: Fixture, job: string, path: string, mountpoint: string) {
    this.#fixture = fixture;
    this.job = job;
    this.#path = path;
    this.mountpoint = mountpoint;
  }

  async mount(): Promise<void> {
    await this.#fixture.request('POST', '/antares/mounts', {
      job_id: this.job,
      path: this.#path,
      mountpoint: this.mountpoint,
    });
    const status = await this.#fixture.request('GET', `/antares/mounts/by-job/${this.job}`);
    this.upperDir = (status['layers'] as { upper: string }).upper;
  }

  async unmount(): Promise<void> {
    await this.#end();
    this.#fixture.forgetMount(this);
  }

  async remount(): Promise<void> {
    await this.#end();
    await this.mount();
  }

  async #end(): Promise<void> {
    const answer = await this.#fixture.request('DELETE', `/antares/mounts/by-job/${this.job}`);
    if (answer['state'] !== 'Unmounted') throw new Error(`${this.mountpoint}: ${JSON.stringify(answer)}`);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Asks a process to end, and ends it when it does not listen. Resolves with whether it listened. */
async function stop(child: ChildProcess): Promise<boolean> {
  if (hasEnded(child)) return true;
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGTERM');
  const timeout = sleep(STOP_TIMEOUT_MS, 'late' as const, { ref: false });
  if ((await Promise.race([ended, timeout])) !== 'late') return true;
  child.kill('SIGKILL');
  await ended;
  return false;
}
