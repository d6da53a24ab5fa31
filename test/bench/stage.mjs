// What a case runs on: repositories, servers, clients and caches, made on demand in one folder that goes away.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { startServer } from './daemon.mjs';
import { abortAt, abortBelow, detachBelow } from './mounts.mjs';
import { killAll, killCommands, runCommand, Service } from './processes.mjs';
import { makeLargeFiles } from './large-files.mjs';
import { makeFromFiles, makeLargeFile, makeManyNames, makeShapes, makeSmallFiles } from './repositories.mjs';

const clientScript = join(import.meta.dirname, 'client.mjs');
const mapScript = join(import.meta.dirname, 'map-file.py');
const proxyScript = join(import.meta.dirname, 'latency-proxy.mjs');
const countingScript = join(import.meta.dirname, 'counting-proxy.mjs');
const FADVISE =
  'import os,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\nos.posix_fadvise(fd,0,0,os.POSIX_FADV_DONTNEED)';

/** What takes longer is given up: a step is one turn of one contender. */
const DEADLINES = { stepMs: 300_000, caseMs: 1_800_000 };
const QUICK_DEADLINES = { stepMs: 60_000, caseMs: 300_000 };

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
  /** The folder in which everything happens. */
  folder;
  /** A short run, with less of everything. */
  quick;
  /** Who is measured. */
  contenders;
  /** Where the daemons leave their CPU profiles, if anywhere. */
  profile;
  /** Takes a line about what is going on. */
  log;
  /** Whether caches can be emptied, so that "cold" is cold on the local disk, too. */
  canDropCaches = probeCaches();
  /** Whether `close` was called. */
  isClosing = false;
  #made = new Map();
  #running = new Set();
  #count = 0;
  #caseEnds = Number.POSITIVE_INFINITY;
  #entered;

  constructor({ folder, quick, contenders, profile, log }) {
    this.folder = folder;
    this.quick = quick;
    this.contenders = contenders;
    this.profile = profile;
    this.log = log;
  }

  /** A path for something new. */
  fresh(name) {
    return join(this.folder, `${name}-${++this.#count}`);
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

  /** Makes a repository, and a server over it, once for all cases. */
  #repository(what, make) {
    return this.#once(what, async () => {
      this.log(`making a repository of ${what}`);
      const repository = await make(this.fresh('repository'));
      const server = await startServer(repository.directory);
      this.#running.add(server);
      return { ...repository, url: server.url };
    });
  }

  /** A repository of `count` small files. */
  smallFiles(count) {
    return this.#repository(`${count} files`, (directory) => makeSmallFiles(directory, count));
  }

  /** A repository of `count` names of one small file. */
  manyNames(count) {
    return this.#repository(`${count} names`, (directory) => makeManyNames(directory, count));
  }

  /** A repository of `count` files in wide folders, and some in a large and in a deep one. */
  shapes(count) {
    return this.#repository(`${count} files in folders of all shapes`, (directory) =>
      makeShapes(directory, count),
    );
  }

  /** Forgets the kernel's names and attributes, but not the content of files, where that is allowed. */
  dropNames() {
    if (this.canDropCaches) writeFileSync('/proc/sys/vm/drop_caches', '2');
  }

  /** A repository of one large file. */
  largeFile(size) {
    return this.#repository(`one file of ${size / 2 ** 20} MiB`, (directory) =>
      makeLargeFile(directory, size),
    );
  }

  /** A repository of large files (Git LFS), with their objects; see makeLargeFiles. */
  largeFiles(options) {
    const what = `${options.count} large files of ${options.size / 2 ** 20} MiB`;
    return this.#repository(what, (directory) => makeLargeFiles(directory, options));
  }

  /** A repository of files from a folder of the local disk. */
  someFiles(folder, names) {
    return this.#repository(`files of ${folder}`, (directory) => makeFromFiles(directory, folder, names));
  }

  #proxy(script, url, ...rest) {
    return this.#once([script, url, ...rest].join(' '), async () => {
      const args = [script, new URL(url).port, ...rest.map(String)];
      const proxy = new Service('the proxy', process.execPath, args);
      this.#running.add(proxy);
      return proxy.firstLine();
    });
  }

  /** A proxy in front of a server, so many milliseconds away; resolves with its URL. */
  slowly(url, roundTripMs) {
    return this.#proxy(proxyScript, url, roundTripMs);
  }

  /** A proxy that counts what large files cost; resolves with its URL and with a function that tells, and begins anew. */
  async counting(url) {
    const proxy = await this.#proxy(countingScript, url);
    return { url: proxy, counts: async () => (await fetch(`${proxy}/.counts`)).json() };
  }

  /** The files of a repository in a folder of the local disk. Nobody writes there. */
  localCopy(repository) {
    return this.#once(`copy ${repository.directory}`, async () => {
      const target = this.freshFolder('local');
      const extract = 'git -C "$0" archive HEAD | tar -x -C "$1"';
      await runCommand('sh', ['-c', extract, repository.directory, target]);
      return target;
    });
  }

  /** A contender's place for a tree, mounted. `leave` it at the end. */
  async enter(contender, tree, options) {
    const place = await this.prepare(contender, tree, options);
    await place.mount();
    return place;
  }

  /** As `enter`, but all that comes before mounting alone. */
  async prepare(contender, tree, options) {
    const place = await contender.prepare(this, tree, options);
    this.#running.add(place);
    this.#entered = place;
    return place;
  }

  /** Unmounts a place, ends who served it, and removes what it wrote. */
  async leave(place) {
    await place.stop();
    this.#running.delete(place);
  }

  /** Lets a client do an operation; resolves with its milliseconds. */
  async client(operation, args) {
    const env = { UV_THREADPOOL_SIZE: String(args.readers ?? 4) };
    const { stdout } = await runCommand(process.execPath, [clientScript, operation, JSON.stringify(args)], {
      env,
    });
    return JSON.parse(stdout).ms;
  }

  /** Milliseconds of copying a whole file out of a mapping. */
  async readMapped(file) {
    const { stdout } = await runCommand('python3', [mapScript, file]);
    return Number(stdout);
  }

  /** Milliseconds of a command, whose output is discarded. */
  async time(command, args, options) {
    return (await runCommand(command, args, { ...options, output: false })).ms;
  }

  /** Writes a list for the client; returns its path. */
  list(lines) {
    const path = this.fresh('list');
    writeFileSync(path, `${lines.join('\n')}\n`);
    return path;
  }

  /** Waits until what was written is on the disk, so that it does not slow down what comes next. */
  async flush() {
    await runCommand('sync', ['-f', this.folder]);
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

  /** Detaches what is mounted below a folder. */
  async detachBelow(folder) {
    await detachBelow(folder);
  }

  /** A case begins: its deadline counts from now. */
  beginCase() {
    this.#caseEnds = performance.now() + this.#deadlines.caseMs;
  }

  /** A step of a case begins. */
  beginStep() {
    if (this.isClosing) throw new Error('stopping');
    this.#entered = undefined;
  }

  /** How long the step that begins may take, in milliseconds. */
  get stepDeadlineMs() {
    return Math.max(0, Math.min(this.#deadlines.stepMs, this.#caseEnds - performance.now()));
  }

  get #deadlines() {
    return this.quick ? QUICK_DEADLINES : DEADLINES;
  }

  /** Ends what hangs: the commands that run, and every request to the mount of `place`, by default the last one made. */
  endHanging(place = this.#entered) {
    killCommands();
    if (place !== undefined) abortAt(place.root);
  }

  /** Stops everything and detaches what is still mounted. The folder stays. */
  async close() {
    this.isClosing = true;
    killCommands();
    abortBelow(this.folder);
    const stopping = [...this.#running].reverse().map((part) => part.stop());
    this.#running.clear();
    await Promise.allSettled(stopping);
    killAll();
    // Removing the folder must not reach into a mount.
    await detachBelow(this.folder);
  }
}
