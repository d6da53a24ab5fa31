// What a case runs on: repositories, servers and daemons made on demand, in one temporary folder that goes away.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Daemon, startServer } from './daemon.mjs';
import { killAll, runCommand, Service } from './processes.mjs';
import { makeLargeFile, makeSmallFiles, writeList } from './repositories.mjs';

const clientScript = join(import.meta.dirname, 'client.mjs');
const proxyScript = join(import.meta.dirname, 'latency-proxy.mjs');
const FADVISE =
  'import os,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\nos.posix_fadvise(fd,0,0,os.POSIX_FADV_DONTNEED)';

/** Whether this process may empty the kernel's caches. */
function probeCaches() {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

/** The stage. `close` it at the end, whatever happened. */
export class Stage {
  /** A short run, with less of everything. */
  quick;
  /** Whether caches can be emptied, so that "cold" is cold on the local disk, too. */
  canDropCaches = probeCaches();
  #folder;
  #profile;
  #log;
  #made = new Map();
  #running = new Set();
  #count = 0;

  constructor({ parent, quick, profile, log }) {
    this.#folder = mkdtempSync(join(parent, 'scorpio-bench-'));
    this.quick = quick;
    this.#profile = profile;
    this.#log = log;
  }

  /** The temporary folder. */
  get folder() {
    return this.#folder;
  }

  /** A path for something new. */
  fresh(name) {
    return join(this.#folder, `${name}-${++this.#count}`);
  }

  /** A new, empty folder. */
  freshFolder(name) {
    const path = this.fresh(name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  #once(key, make) {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }

  /** A repository of `count` small files, and a server over it. */
  smallFiles(count) {
    return this.#once(`small ${count}`, async () => {
      this.#log(`making a repository of ${count} files`);
      const repository = await makeSmallFiles(this.fresh('repository'), count);
      return { ...repository, url: await this.#serve(repository.directory) };
    });
  }

  /** A repository of one large file, and a server over it. */
  largeFile(size) {
    return this.#once(`large ${size}`, async () => {
      this.#log(`making a repository of one file of ${size / 2 ** 20} MiB`);
      const repository = await makeLargeFile(this.fresh('repository'), size);
      return { ...repository, url: await this.#serve(repository.directory) };
    });
  }

  async #serve(directory) {
    const server = await startServer(directory);
    this.#running.add(server);
    return server.url;
  }

  /** A proxy in front of a server; resolves with its URL. */
  async slowly(url, roundTripMs) {
    const proxy = new Service('the proxy', [proxyScript, new URL(url).port, String(roundTripMs)]);
    this.#running.add(proxy);
    return proxy.firstLine();
  }

  /** The files of a repository in a folder of the local disk, written out. */
  localCopy(repository) {
    return this.#once(`copy ${repository.directory}`, async () => {
      const target = this.freshFolder('local');
      await runCommand('sh', [
        '-c',
        'git -C "$0" archive HEAD | tar -x -C "$1"',
        repository.directory,
        target,
      ]);
      return target;
    });
  }

  /**
   * Runs `use` with a daemon and a mount; with `folder`, what a daemon there fetched before is still there. Both are
   * gone afterwards.
   */
  async withMount({ url, path = '/', folder = this.fresh('daemon') }, use) {
    const daemon = await this.startDaemon(url, folder);
    const mountpoint = this.freshFolder('mount');
    try {
      await daemon.mount(mountpoint, path);
      const result = await use(mountpoint, daemon);
      await daemon.unmount();
      return result;
    } finally {
      await this.stopDaemon(daemon);
    }
  }

  /** Starts a daemon that `close` stops at the latest. */
  async startDaemon(url, folder = this.fresh('daemon')) {
    const daemon = await Daemon.start({ url, folder, profile: this.#profile });
    this.#running.add(daemon);
    return daemon;
  }

  /** Stops one. */
  async stopDaemon(daemon) {
    this.#running.delete(daemon);
    await daemon.stop();
  }

  /** Lets a client do an operation; resolves with its milliseconds. */
  async client(operation, args) {
    const env = { UV_THREADPOOL_SIZE: String(args.readers ?? 4) };
    const { stdout } = await runCommand(process.execPath, [clientScript, operation, JSON.stringify(args)], {
      env,
    });
    return JSON.parse(stdout).ms;
  }

  /** Milliseconds of a command, whose output is discarded. */
  async time(command, args, options) {
    return (await runCommand(command, args, { ...options, output: false })).ms;
  }

  /** Writes a list for the client; returns its path. */
  list(lines) {
    return writeList(this.#folder, `list-${++this.#count}`, lines);
  }

  /** Waits until what was written is on the disk, so that it does not slow down what comes next. */
  async flush() {
    await runCommand('sync', ['-f', this.#folder]);
  }

  /** Empties the kernel's caches of files, names and attributes, where that is allowed. */
  async dropCaches() {
    await this.flush();
    if (this.canDropCaches) writeFileSync('/proc/sys/vm/drop_caches', '3');
  }

  /** Empties the kernel's cache of one file's content. */
  async dropFile(file) {
    await runCommand('python3', ['-c', FADVISE, file]);
  }

  /** Removes a folder or a file on the local disk. */
  remove(path) {
    rmSync(path, { recursive: true, force: true });
  }

  /** Stops everything, detaches what is still mounted, and removes the folder. */
  async close() {
    const stopping = [...this.#running].reverse().map((part) => part.stop());
    this.#running.clear();
    await Promise.allSettled(stopping);
    killAll();
    await this.#detachLeftovers();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Removing the folder must not reach into a mount. */
  async #detachLeftovers() {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '');
    for (const mountpoint of mounts.filter((path) => path.startsWith(`${this.#folder}/`))) {
      await runCommand('umount', ['-l', mountpoint]);
    }
  }
}
