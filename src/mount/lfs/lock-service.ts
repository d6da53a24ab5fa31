// Locks as one mount sees them: kept in memory, refreshed in the background, so that no open ever waits for them.
import type { LfsLock, LfsLocksClient, VerifiedLocks } from '../../lfs/client/lfs-client.ts';
import { isWithoutLocks } from '../../lfs/client/locks.ts';
import { LfsError } from '../../lfs/lfs-error.ts';
import { eachLimited } from '../../util/each-limited.ts';
import type { Logger } from '../../util/logger.ts';
import { MountError } from '../mount-error.ts';
import { createLockPaths, lockablePath } from './lock-paths.ts';
import type { LfsLockResult } from './mount-lfs.ts';
import type { MountLocks } from './mount-lfs-parts.ts';
import type { OwnLocksOf } from './own-locks.ts';
import { toMountError } from './to-mount-error.ts';

const LOCKS_AT_ONCE = 4;

/** A server that fails, or has no locks, is asked less often: up to this many times the usual pause. */
const MAX_PAUSE_FACTOR = 16;

/** A server, as far as its locks matter. */
export interface LocksServer {
  /** Known once it was asked something. */
  readonly url: string;
  readonly locks: LfsLocksClient;
}

/** What the locks of a mount need. */
export interface LockServiceOptions {
  /** Path of the mount in the monorepo, with a leading slash. UTF-8 text. */
  readonly repositoryPath: string;
  /** The server. Rejects with LfsError. */
  readonly client: (signal: AbortSignal) => Promise<LocksServer>;
  /** Which locks the user took. */
  readonly ownLocks: OwnLocksOf;
  /** Whether the mount has a regular file under a path (latin1). Rejects as a layer does. */
  readonly hasFile: (path: string, signal: AbortSignal) => Promise<boolean>;
  /** How often the locks are asked for in the background; 0: never. */
  readonly refreshMs: number;
  readonly log: Logger;
  /** Who holds these files has changed: paths of the mount, latin1. */
  readonly onChange: (paths: readonly string[]) => void;
}

/** Who has locked a file. */
export interface LockHolder {
  /** `''`: somebody whom the server does not name. */
  readonly owner: string;
  readonly isOurs: boolean;
  readonly id: string;
}

/** Locks of one mount. */
export interface LockService extends MountLocks {
  lockedBy(path: string): LockHolder | undefined;
  /** Whether no lock is known that concerns the mount. */
  readonly isEmpty: boolean;
  /** Whether any lock is known that somebody else holds. */
  readonly hasOthers: boolean;
  /** False once the server said that it has no locks. */
  readonly isSupported: boolean;
  /** Begins to refresh in the background. */
  start(): void;
  /** Asks the server now. Rejects with MountError. */
  refresh(signal?: AbortSignal): Promise<void>;
  /** Ends what runs. */
  close(): Promise<void>;
}

/** The error to reject with: what a server says of locks is no failure of the server. */
function lockError(error: unknown): Error {
  const isAnswer = error instanceof LfsError && ['missing', 'conflict'].includes(error.kind);
  if (!isAnswer && !isWithoutLocks(error)) return toMountError(error);
  return new MountError('invalid', (error as Error).message, { cause: error });
}

const toLatin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** Asks nothing yet. */
export function createLockService(options: LockServiceOptions): LockService {
  return new MountLockService(options);
}

class MountLockService implements LockService {
  readonly #options: LockServiceOptions;
  readonly #paths: ReturnType<typeof createLockPaths>;
  readonly #closing = new AbortController();
  #holders: ReadonlyMap<string, LockHolder> = new Map();
  #ours: readonly LfsLock[] = [];
  #theirs: readonly LfsLock[] = [];
  /** Locks that were taken or released here, of which the last answer of the server may not know. */
  readonly #edits = new Map<string, { readonly lock: LfsLock | undefined; readonly atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #pauseFactor = 1;
  #problem: string | undefined;
  /** When the answer was asked for that is shown: one that was asked for earlier may come later. */
  #shownMs = -Infinity;
  hasOthers = false;
  isSupported = true;

  constructor(options: LockServiceOptions) {
    this.#options = options;
    this.#paths = createLockPaths(options.repositoryPath);
  }

  get isEmpty(): boolean {
    return this.#holders.size === 0;
  }

  lockedBy(path: string): LockHolder | undefined {
    return this.#holders.size === 0 ? undefined : this.#holders.get(path);
  }

  start(): void {
    if (this.#options.refreshMs > 0) this.#schedule(0);
  }

  async refresh(signal?: AbortSignal): Promise<void> {
    await this.verifyLocks(signal ?? this.#closing.signal);
  }

  async close(): Promise<void> {
    this.#closing.abort(new LfsError('aborted', 'the mount is going away'));
    clearTimeout(this.#timer);
    await this.#running;
  }

  async lock(paths: readonly string[], signal: AbortSignal): Promise<readonly LfsLockResult[]> {
    return this.#each(paths, signal, async (path, server) => {
      if (!(await this.#options.hasFile(toLatin1(path), signal))) {
        throw new MountError('invalid', `the mount has no file ${path}; only files can be locked`);
      }
      // Once asked for it is waited for, also when the caller goes: nobody would know then whose lock it is.
      const lock = await server.locks.lock(this.#paths.toServer(path), { signal: this.#closing.signal });
      await this.#note(lock, server);
      return lock;
    });
  }

  async unlock(
    wanted: { readonly paths: readonly string[]; readonly id?: string | undefined; readonly force: boolean },
    signal: AbortSignal,
  ): Promise<readonly LfsLockResult[]> {
    const { id, force } = wanted;
    if (id === undefined) {
      return this.#each(wanted.paths, signal, async (path, server) => {
        const held = await this.#find(path, server.locks, signal);
        if (held === undefined) throw new LfsError('missing', `${path} is not locked`);
        return this.#release(held, server, force, signal);
      });
    }
    const server = await this.#client(signal);
    const [held] = await this.#ask(() => server.locks.list({ id, limit: 1 }, { signal }));
    const path = held === undefined ? '' : (this.#paths.mountPathsOf(held.path)[0] ?? held.path);
    try {
      if (held === undefined) throw new LfsError('missing', `there is no lock ${id}`);
      return [{ path, lock: await this.#release(held, server, force, signal), error: undefined }];
    } catch (error) {
      return [{ path, lock: undefined, error: lockError(error).message }];
    }
  }

  async locks(
    filter: {
      readonly path?: string | undefined;
      readonly id?: string | undefined;
      readonly limit?: number | undefined;
      readonly isCached?: boolean;
    },
    signal: AbortSignal,
  ): Promise<readonly LfsLock[]> {
    const { id, limit } = filter;
    const asked =
      filter.path === undefined ? [undefined] : this.#paths.serverPathsOf(lockablePath(filter.path));
    if (filter.isCached === true) {
      return [...this.#ours, ...this.#theirs]
        .filter((lock) => asked.some((path) => path === undefined || path === lock.path))
        .filter((lock) => id === undefined || lock.id === id)
        .slice(0, limit);
    }
    const { locks } = await this.#client(signal);
    for (const path of asked) {
      const query = {
        ...(path === undefined ? {} : { path }),
        ...(id === undefined ? {} : { id }),
        ...(limit === undefined ? {} : { limit }),
      };
      const found = await this.#ask(() => locks.list(query, { signal }));
      if (found.length > 0) return found;
    }
    return [];
  }

  async verifyLocks(signal: AbortSignal): Promise<VerifiedLocks> {
    const beganMs = performance.now();
    const server = await this.#client(signal);
    const said = await this.#ask(() => server.locks.verify({ signal }));
    const own = await this.#options.ownLocks(server.url);
    this.isSupported = true;
    // Mega calls all locks the caller's own, since it keeps no owners.
    const tells = said.theirs.length > 0 || said.ours.some((lock) => lock.owner !== undefined);
    const isOurs = (lock: LfsLock): boolean => tells || own.has(lock.id);
    const ours = said.ours.filter(isOurs);
    const theirs = [...said.theirs, ...said.ours.filter((lock) => !isOurs(lock))];
    // What was done here since is newer than this answer.
    if (beganMs >= this.#shownMs) {
      this.#shownMs = beganMs;
      for (const [id, { atMs }] of this.#edits) if (atMs < beganMs) this.#edits.delete(id);
      this.#show(ours, theirs);
    }
    const ids = new Set([...said.ours, ...said.theirs].map((lock) => lock.id));
    await own.keep(ids, beganMs).catch((error: unknown) => this.#logStateProblem(error));
    return { ours, theirs };
  }

  async #client(signal: AbortSignal): Promise<LocksServer> {
    return this.#ask(() => this.#options.client(signal));
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      if (isWithoutLocks(error)) this.isSupported = false;
      throw lockError(error);
    }
  }

  async #each(
    paths: readonly string[],
    signal: AbortSignal,
    task: (path: string, server: LocksServer) => Promise<LfsLock>,
  ): Promise<readonly LfsLockResult[]> {
    const files = paths.map(lockablePath);
    const server = await this.#client(signal);
    const results = new Map<string, LfsLockResult>();
    await eachLimited(files, LOCKS_AT_ONCE, async (path) => {
      signal.throwIfAborted();
      try {
        results.set(path, { path, lock: await task(path, server), error: undefined });
      } catch (error) {
        if (isWithoutLocks(error)) this.isSupported = false;
        results.set(path, { path, lock: undefined, error: lockError(error).message });
      }
    });
    return files.flatMap((path) => results.get(path) ?? []);
  }

  async #find(path: string, locks: LfsLocksClient, signal: AbortSignal): Promise<LfsLock | undefined> {
    for (const wanted of this.#paths.serverPathsOf(path)) {
      const [found] = await locks.list({ path: wanted, limit: 1 }, { signal });
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Releases a lock. Where the server cannot tell whose it is, it would take away everybody's. */
  async #release(held: LfsLock, server: LocksServer, force: boolean, signal: AbortSignal): Promise<LfsLock> {
    const own = await this.#options.ownLocks(server.url);
    if (!force && held.owner === undefined && !own.has(held.id)) {
      const text = `the lock ${held.id} of ${held.path} was not taken by you here, and the server does not say whose it is; --force takes it away`;
      throw new LfsError('refused', text);
    }
    const released = await server.locks.unlock(held.id, { force }, { signal });
    await own.remove(held.id).catch((error: unknown) => this.#logStateProblem(error));
    this.#change(held.id, undefined);
    return { ...held, ...released, path: held.path };
  }

  async #note(lock: LfsLock, server: LocksServer): Promise<void> {
    const own = await this.#options.ownLocks(server.url);
    await own.add(lock.id).catch((error: unknown) => this.#logStateProblem(error));
    this.#change(lock.id, lock);
  }

  /** A lock was taken or released here. */
  #change(id: string, lock: LfsLock | undefined): void {
    this.#edits.set(id, { lock, atMs: performance.now() });
    this.#show(this.#ours, this.#theirs);
  }

  /** Takes over what the locks are now, and tells of the files whose holder is another one than before. */
  #show(saidOurs: readonly LfsLock[], saidTheirs: readonly LfsLock[]): void {
    const edited = [...this.#edits.values()].flatMap(({ lock }) => lock ?? []);
    const ours = [...saidOurs.filter(({ id }) => !this.#edits.has(id)), ...edited];
    const theirs = saidTheirs.filter(({ id }) => !this.#edits.has(id));
    const before = this.#holders;
    const now = new Map<string, LockHolder>();
    const all = [
      ...ours.map((lock) => [lock, true] as const),
      ...theirs.map((lock) => [lock, false] as const),
    ];
    // What a path surely means wins over what it may mean.
    for (const rank of [0, 1]) {
      for (const [lock, isOurs] of all) {
        const path = this.#paths.mountPathsOf(lock.path)[rank];
        if (path === undefined || now.has(toLatin1(path))) continue;
        now.set(toLatin1(path), { owner: lock.owner ?? '', isOurs, id: lock.id });
      }
    }
    this.#ours = ours;
    this.#theirs = theirs;
    this.#holders = now;
    this.hasOthers = theirs.length > 0;
    const changed = [...new Set([...before.keys(), ...now.keys()])].filter((path) => {
      const [was, is] = [before.get(path), now.get(path)];
      return was?.id !== is?.id || was?.isOurs !== is?.isOurs || was?.owner !== is?.owner;
    });
    if (changed.length > 0) this.#options.onChange(changed);
  }

  #schedule(ms: number): void {
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#refreshInBackground();
    }, ms);
    // A daemon that has nothing else to do may end.
    this.#timer.unref();
  }

  async #refreshInBackground(): Promise<void> {
    try {
      await this.verifyLocks(this.#closing.signal);
      this.#pauseFactor = 1;
      if (this.#problem !== undefined) this.#options.log.info('the locks are known again');
      this.#problem = undefined;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#pauseFactor = Math.min(MAX_PAUSE_FACTOR, this.#pauseFactor * 2);
      this.#logProblem((error as Error).message);
    }
    this.#schedule(this.#options.refreshMs * this.#pauseFactor);
  }

  /** Says once what is wrong, as long as it stays the same. */
  #logProblem(problem: string): void {
    if (this.#problem === undefined) {
      const { log } = this.#options;
      if (this.isSupported) log.warn('the locks of large files are not known', { reason: problem });
      else log.info('the LFS server has no locks');
    }
    this.#problem = problem;
  }

  #logStateProblem(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log.warn('cannot record which locks are yours', { reason });
  }
}
