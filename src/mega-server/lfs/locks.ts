// Locks of paths, kept in one file that is replaced whole, so that a lock that was given out survives whatever happens.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atomicWrite } from '../../util/atomic-write.ts';
import { backoffMs } from '../../util/backoff.ts';
import { tryLockFile } from '../../util/file-lock.ts';
import { LfsRequestError } from './lfs-answer.ts';

/** A lock as it is stored. */
export interface StoredLock {
  readonly id: string;
  /** From the repository's root, no leading slash. */
  readonly path: string;
  /** RFC 3339. */
  readonly lockedAt: string;
  /** Null: whoever made it did not say a name. */
  readonly owner: string | null;
  /** Full name of the branch; empty: for all. */
  readonly ref: string;
  /** Ascends from lock to lock. */
  readonly number: number;
}

/** Which locks a list is to have. Absent: any. */
export interface LockFilter {
  readonly path?: string | undefined;
  readonly id?: string | undefined;
  readonly ref?: string | undefined;
}

interface LockFile {
  readonly version: 1;
  readonly next: number;
  readonly locks: readonly StoredLock[];
}

const EMPTY: LockFile = { version: 1, next: 1, locks: [] };
const BUSY_TIMEOUT_MS = 10_000;

/**
 * The locks of a repository. Locks of a branch and of another do not meet; one without a branch meets all. Several
 * servers may have the same file.
 */
export class LfsLocks {
  readonly #path: string;
  /** Changes of this server, one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** Locks a path. Rejects with LfsRequestError 409, whose body has the other's lock. */
  create(wanted: Pick<StoredLock, 'path' | 'owner' | 'ref'>): Promise<StoredLock> {
    return this.#change(({ locks, next }) => {
      const other = locks.find(({ path, ref }) => path === wanted.path && isSameRef(ref, wanted.ref));
      if (other !== undefined) {
        throw new LfsRequestError(409, 'the path is locked already', { lock: shownLock(other) });
      }
      const lock: StoredLock = {
        ...wanted,
        id: randomBytes(8).toString('hex'),
        lockedAt: new Date().toISOString(),
        number: next,
      };
      return { file: { version: 1, next: next + 1, locks: [...locks, lock] }, result: lock };
    });
  }

  /**
   * Removes a lock. Rejects with LfsRequestError 404 for an unknown id, 403 for somebody else's without `force`.
   */
  remove(id: string, caller: string | undefined, force: boolean): Promise<StoredLock> {
    return this.#change(({ locks, next }) => {
      const lock = locks.find((lock) => lock.id === id);
      if (lock === undefined) throw new LfsRequestError(404, `there is no lock ${id}`);
      if (!force && !isOwnLock(lock, caller)) {
        throw new LfsRequestError(
          403,
          `${lock.path} is locked by ${lock.owner}; it can be unlocked with force`,
          {
            lock: shownLock(lock),
          },
        );
      }
      return { file: { version: 1, next, locks: locks.filter((other) => other !== lock) }, result: lock };
    });
  }

  /** Locks in the order in which they were made, behind the one with the number `after`. */
  async list(filter: LockFilter, after: number): Promise<StoredLock[]> {
    const { locks } = await this.#read();
    return locks.filter(
      (lock) =>
        lock.number > after &&
        (filter.path === undefined || lock.path === filter.path) &&
        (filter.id === undefined || lock.id === filter.id) &&
        (filter.ref === undefined || isSameRef(lock.ref, filter.ref)),
    );
  }

  async #change<T>(edit: (file: LockFile) => { file: LockFile; result: T }): Promise<T> {
    const turn = this.#last.then(async () => {
      await mkdir(dirname(this.#path), { recursive: true });
      const held = await lockFile(`${this.#path}.lock`);
      try {
        const { file, result } = edit(await this.#read());
        await atomicWrite(this.#path, `${JSON.stringify(file, null, 1)}\n`);
        return result;
      } finally {
        held.release();
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #read(): Promise<LockFile> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return text === undefined ? EMPTY : parse(text, this.#path);
  }
}

/** Throws where nobody can tell which locks there were: to give out a path a second time would be worse. */
function parse(text: string, path: string): LockFile {
  let file: Partial<LockFile> | undefined;
  try {
    file = JSON.parse(text) as Partial<LockFile>;
  } catch {
    // Told below.
  }
  if (Array.isArray(file?.locks) && Number.isSafeInteger(file.next)) return file as LockFile;
  throw new Error(`the list of locks ${path} is damaged; correct it, or remove it to have no locks`);
}

/** A lock as clients see it. */
export function shownLock({ id, path, lockedAt, owner }: StoredLock): Record<string, unknown> {
  return { id, path, locked_at: lockedAt, owner: owner === null ? null : { name: owner } };
}

/** Whether the caller may do with a lock what its owner may. One without an owner is everybody's, as with Mega. */
export function isOwnLock({ owner }: StoredLock, caller: string | undefined): boolean {
  return owner === null || owner === caller;
}

function isSameRef(a: string, b: string): boolean {
  return a === '' || b === '' || a === b;
}

async function lockFile(path: string) {
  for (let tries = 1, deadline = Date.now() + BUSY_TIMEOUT_MS; Date.now() < deadline; tries++) {
    const held = tryLockFile(path);
    if (held !== undefined) return held;
    await sleep(backoffMs(Math.min(tries, 5), 5));
  }
  throw new LfsRequestError(503, 'another server holds the list of locks; try again');
}
