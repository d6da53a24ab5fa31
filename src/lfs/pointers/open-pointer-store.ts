// The pointer store over LevelDB: reads at once, writes soon and together, and goes on when the database cannot.
import { LruCache } from '../../util/lru.ts';
import type { ObjectId } from '../../util/types.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsObject } from '../lfs-object.ts';
import type { PathPointer, PointerStore } from '../pointer-store.ts';
import {
  isDamage,
  openPointerDatabase,
  setAside,
  DamagedDatabaseError,
  type PointerDatabase,
} from './pointer-database.ts';
import {
  blobKey,
  decodeBlob,
  decodePath,
  encodeBlob,
  encodePath,
  keyAfter,
  mountPrefix,
  pathKey,
} from './pointer-records.ts';
import { UnwrittenRecords } from './unwritten-records.ts';

/** Blobs that are answered without the database; about eight megabytes. */
const MEMORY_BLOBS = 32_768;
/** How long a record waits for others to be written with it, and how many are written at the latest. Milliseconds. */
const WRITE_DELAY_MS = 200;
const WRITE_RECORDS = 2000;
/** A database that nobody asks for is opened when the process has started. */
const OPEN_DELAY_MS = 1000;
/** After such a pause, a database that could not be written to is opened anew. */
const RETRY_DELAY_MS = 30_000;

/** How to open the store. */
export interface PointerStoreOptions {
  /** Told, once, that the database was damaged, or cannot be written. */
  readonly onWarning: (message: string) => void;
  /** Called each time the database had to be begun anew while the store was open. */
  readonly onRebuilt?: () => void;
  /** Wait before a database that failed is opened anew; default 30 seconds. */
  readonly retryDelayMs?: number;
}

/**
 * Opens the store in a folder, at once whatever its size. A damaged database is set aside (`<folder>.damaged-TIME`), and
 * begun anew. One that cannot be opened or written otherwise (a full disk, no permission) is done without, until it can.
 * Rejects with LfsError (`conflict`) when another process has it.
 */
export async function openPointerStore(folder: string, options: PointerStoreOptions): Promise<PointerStore> {
  const store = new LevelPointerStore(folder, options);
  await store.open();
  return store;
}

/**
 * As `openPointerStore`, but opens when it is needed, or a little later: loading LevelDB takes longer than most at the
 * start of a process. One that another process has is done without as well, with a warning.
 */
export function openPointerStoreSoon(folder: string, options: PointerStoreOptions): PointerStore {
  const store = new LevelPointerStore(folder, options);
  store.openSoon();
  return store;
}

class LevelPointerStore implements PointerStore {
  readonly #folder: string;
  readonly #options: PointerStoreOptions;
  readonly #memory = new LruCache<ObjectId, LfsObject | 'none'>(MEMORY_BLOBS);
  readonly #unwritten = new UnwrittenRecords();
  #database: PointerDatabase | undefined;
  #wasRebuilt = false;
  #warnedOfWriting = false;
  #timer: NodeJS.Timeout | undefined;
  /** What changes the database, one after the other. */
  #working: Promise<void> = Promise.resolve();
  #isReplacing = false;
  #isWriting = false;
  #isClosed = false;
  /** Begins to open the database, or is what waits for that; undefined: it is open. */
  #opening: Promise<void> | (() => Promise<void>) | undefined;

  constructor(folder: string, options: PointerStoreOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  get wasRebuilt(): boolean {
    return this.#wasRebuilt;
  }

  get opening(): Promise<void> | undefined {
    if (typeof this.#opening === 'function') this.#opening = this.#opening();
    return this.#opening;
  }

  openSoon(): void {
    const timer = setTimeout(() => void this.opening, OPEN_DELAY_MS).unref();
    this.#opening = async () => {
      clearTimeout(timer);
      await this.#inTurn(() => this.open()).catch((error: unknown) => this.#cannotWrite(error));
      this.#opening = undefined;
      if (this.#wasRebuilt) this.#options.onRebuilt?.();
    };
  }

  async open(): Promise<void> {
    try {
      this.#database = await openPointerDatabase(this.#folder);
    } catch (error) {
      if (error instanceof LfsError) throw error;
      if (error instanceof DamagedDatabaseError) await this.#beginAnew(error);
      else this.#cannotWrite(error);
    }
  }

  blob(id: ObjectId): LfsObject | 'none' | undefined {
    const known = this.#memory.get(id);
    if (known !== undefined) return known;
    const key = blobKey(id);
    const value = this.#unwritten.get(key) ?? this.#getSync(key);
    const what = value === undefined ? undefined : this.#decode(key, value, decodeBlob);
    if (what !== undefined) this.#memory.set(id, what);
    return what;
  }

  noteBlobs(blobs: Iterable<readonly [ObjectId, LfsObject | 'none']>): void {
    for (const [id, what] of blobs) {
      const noted = what === 'none' ? what : { oid: what.oid, size: what.size };
      this.#memory.set(id, noted);
      const key = blobKey(id);
      this.#unwritten.put(key, encodeBlob(key, noted));
    }
    this.#writeSoon();
  }

  async path(mountId: string, path: string): Promise<PathPointer | undefined> {
    await this.opening;
    const key = pathKey(mountId, path);
    const value = this.#unwritten.get(key) ?? this.#getSync(key);
    return value === undefined ? undefined : this.#decode(key, value, decodePath);
  }

  notePath(mountId: string, path: string, pointer: PathPointer): void {
    const key = pathKey(mountId, path);
    this.#unwritten.put(key, encodePath(key, pointer));
    this.#writeSoon();
  }

  async *paths(mountId: string, folder: string): AsyncIterable<readonly [string, PathPointer]> {
    const start = mountPrefix(mountId);
    const prefix = folder === '' ? start : `${start}${folder}/`;
    const end = keyAfter(prefix);
    await this.opening;
    await this.#write();
    // What could not be written.
    const others = this.#unwritten.range(prefix, end);
    const shown = (key: string, value: Buffer): readonly [string, PathPointer] => [
      key.slice(start.length),
      decodePath(key, value),
    ];
    try {
      for await (const [keyBytes, value] of this.#range(prefix, end)) {
        const key = keyBytes.toString('latin1');
        while (others.length > 0 && (others[0]?.[0] ?? '') < key)
          yield shown(...(others.shift() as [string, Buffer]));
        if (others[0]?.[0] !== key) yield shown(key, value);
      }
    } catch (error) {
      this.#failed(error);
      throw new LfsError('invalid', `the pointer store ${this.#folder} cannot be read just now; try again`, {
        cause: error,
      });
    }
    for (const [key, value] of others) yield shown(key, value);
  }

  async forgetMount(mountId: string): Promise<void> {
    const prefix = mountPrefix(mountId);
    const end = keyAfter(prefix);
    await this.opening;
    await this.#write();
    this.#unwritten.deleteRange(prefix, end);
    await this.#inTurn(async () => {
      await this.#database?.clear({ gte: Buffer.from(prefix, 'latin1'), lt: Buffer.from(end, 'latin1') });
    }).catch((error: unknown) => this.#failed(error));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.opening;
    await this.#write();
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#inTurn(() => this.#closeDatabase());
  }

  #getSync(key: string): Buffer | undefined {
    const database = this.#database;
    if (database === undefined) return undefined;
    try {
      return database.getSync(Buffer.from(key, 'latin1'));
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #decode<T>(key: string, value: Buffer, decode: (key: string, value: Buffer) => T): T | undefined {
    try {
      return decode(key, value);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #range(prefix: string, end: string): AsyncIterable<readonly [Buffer, Buffer]> {
    const database = this.#database;
    const range = { gte: Buffer.from(prefix, 'latin1'), lt: Buffer.from(end, 'latin1') };
    return database === undefined ? none() : database.iterator(range);
  }

  #writeSoon(): void {
    if (this.#isClosed) return;
    if (this.#unwritten.size >= WRITE_RECORDS && this.#database !== undefined && !this.#isWriting) {
      void this.#write();
    } else this.#timer ??= setTimeout(() => void this.#write(), WRITE_DELAY_MS).unref();
  }

  /** Writes what waits. Never rejects. */
  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isWriting = true;
    await this.#inTurn(async () => {
      this.#isWriting = false;
      const database = this.#database;
      const records = this.#unwritten.take();
      if (database === undefined || records.length === 0) {
        this.#unwritten.giveBack();
        return;
      }
      const puts = records.map(
        ([key, value]) => ({ type: 'put', key: Buffer.from(key, 'latin1'), value }) as const,
      );
      try {
        await database.batch(puts);
        this.#unwritten.written();
      } catch (error) {
        this.#unwritten.giveBack();
        this.#failed(error);
      }
    });
  }

  /** A read or write failed: whether it was damage or the machine decides what follows. */
  #failed(error: unknown): void {
    if (this.#isClosed || this.#isReplacing || this.#database === undefined) return;
    const isDamaged = isDamage(error);
    // A read that failed by the machine's fault says nothing about the next one, and needs no other database.
    if (!isDamaged && !isWriteFailure(error)) return;
    this.#isReplacing = true;
    void this.#inTurn(async () => {
      await this.#closeDatabase();
      this.#isReplacing = false;
      if (this.#isClosed) return;
      if (isDamaged) {
        await this.#beginAnew(error);
        if (this.#database !== undefined) this.#options.onRebuilt?.();
      } else this.#cannotWrite(error);
    });
  }

  async #beginAnew(error: unknown): Promise<void> {
    const reason = (error as Error).message;
    try {
      const where = await setAside(this.#folder);
      this.#database = await openPointerDatabase(this.#folder);
      this.#wasRebuilt = true;
      this.#options.onWarning(
        `the pointer store was damaged (${reason}); it is kept as ${where}, and learned anew from the trees`,
      );
    } catch (failure) {
      this.#cannotWrite(failure);
    }
  }

  /** Goes on in memory, and opens the database anew later: LevelDB refuses to write after a failure. */
  #cannotWrite(error: unknown): void {
    if (!this.#warnedOfWriting) {
      this.#warnedOfWriting = true;
      this.#options.onWarning(
        `the pointer store ${this.#folder} cannot be used: ${(error as Error).message}; ` +
          'going on without it (which files are large is learned anew after the next start)',
      );
    }
    setTimeout(
      () => void this.#inTurn(() => this.#tryAgain()),
      this.#options.retryDelayMs ?? RETRY_DELAY_MS,
    ).unref();
  }

  async #tryAgain(): Promise<void> {
    if (this.#isClosed || this.#database !== undefined) return;
    await this.open().catch((error: unknown) => this.#cannotWrite(error));
    this.#writeSoon();
  }

  async #closeDatabase(): Promise<void> {
    const database = this.#database;
    this.#database = undefined;
    await database?.close().catch(() => undefined);
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#working;
    const working = (async (): Promise<void> => {
      await before.catch(() => undefined);
      await work();
    })();
    this.#working = working;
    await working;
  }
}

/** After these LevelDB takes no more writes until it is opened anew. */
function isWriteFailure(error: unknown): boolean {
  return (
    error instanceof Error &&
    /No space left|Disk quota|Read-only file system|Input\/output/u.test(error.message)
  );
}

async function* none(): AsyncGenerator<never> {
  yield* [];
}
