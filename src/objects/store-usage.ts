// Keeps the store within its budget: what it takes, what may be fetched ahead, and when it has to shrink.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ObjectId } from '../util/types.ts';
import {
  type DiskBudget,
  type DiskSpace,
  excessOf,
  footprint,
  readDiskSpace,
  resolveBudget,
  roomOf,
} from './disk-budget.ts';
import { Evictor, type Removed } from './evictor.ts';
import { recountFolder, STORE_FOLDERS } from './recount.ts';
import { UsageDb } from './usage-db.ts';
import { UsageNotes } from './usage-notes.ts';

/** How often the disk is looked at: others fill it, too. */
const POLL_MS = 2000;
/** A disk that others fill must not cost what is being worked with. */
const RECENT_MS = 10 * 60 * 1000;
/** Time for whoever fetched a blob to open it, also where it is larger than the limit. Milliseconds. */
const ARRIVAL_MS = 2000;
/** What is fetched ahead of need displaces only what nobody used for so long. */
const PREFETCH_DISPLACES_MS = 60 * 60 * 1000;
const PREFETCH_STEP_BYTES = 8 * 1024 * 1024;
/** The limit is looked at when so much was stored, and at each poll. */
const CHECK_BYTES = 256 * 1024;
/** Trees and sizes are small: they come to this share of the limit only where it is tiny. */
const METADATA_SHARE = 0.25;
const SHRINK_PAUSE_MS = 1;
const RECOUNT_EVERY_MS = 24 * 60 * 60 * 1000;
/** Pauses between two folders: the first time, and later. */
const FIRST_RECOUNT_PAUSE_MS = 10;
const RECOUNT_PAUSE_MS = 5000;

/** Without their logs, which SQLite keeps to a few megabytes. */
const DATABASE_FILES = ['metadata.db', 'usage.db'];

/** Where the store is, and how large it may be. */
export interface StoreUsageOptions {
  /** Folder of the store. */
  readonly directory: string;
  readonly budget: DiskBudget;
  /** How long to wait for another process's lock; it blocks this thread. */
  readonly busyTimeoutMs: number;
  readonly onWarning: (message: string) => void;
  /** Forgets some trees and sizes when they take more than so many bytes; whether there is more to forget. */
  readonly shrinkMetadata: (maxBytes: number) => boolean;
}

/** What the store takes, in bytes of disk. */
export interface StoreStatus {
  /** Blobs, and what they take. */
  readonly blobs: number;
  readonly blobBytes: number;
  /** Large files, complete or arriving, and what they take. */
  readonly largeFiles: number;
  readonly largeFileBytes: number;
  /** What the databases take. */
  readonly metadataBytes: number;
  /** Blobs and large files that must not be removed. */
  readonly protectedBlobs: number;
  /** Infinity: no limit. */
  readonly limitBytes: number;
  readonly keepFreeBytes: number;
  readonly freeBytes: number;
  readonly diskBytes: number;
  /** Whether all files were counted; false for a while after an update from a version that did not. */
  readonly isCounted: boolean;
}

/** The bookkeeping and the eviction of one process; several processes may share a store. */
export class StoreUsage {
  readonly #options: StoreUsageOptions;
  readonly #db: UsageDb;
  readonly #notes: UsageNotes;
  readonly #evictor: Evictor;
  readonly #closing = new AbortController();
  #poll: NodeJS.Timeout | undefined;
  #counting: Promise<void> | undefined;
  #evicting: Promise<unknown> | undefined;
  #shrinking: Promise<void> | undefined;
  #uncheckedBytes = 0;
  #warned: string | undefined;

  /** Takes the same time whatever the store holds. */
  constructor(options: StoreUsageOptions) {
    const { directory, busyTimeoutMs, onWarning } = options;
    this.#options = options;
    this.#db = new UsageDb(join(directory, 'usage.db'), busyTimeoutMs, onWarning);
    this.#notes = new UsageNotes(this.#db);
    this.#evictor = new Evictor(directory, this.#db, this.#notes);
    this.#db.open(() => this.#evictor.makeRoom());
  }

  /** Begins to watch the disk, and to count in the background what is not known. For processes that stay. */
  watch(): void {
    this.#poll = setInterval(() => {
      this.#check();
      this.#checkMetadata();
    }, POLL_MS);
    this.#poll.unref();
    const last = this.#db.state('counted_at');
    if (this.#db.state('open') === 0 && last > Date.now() - RECOUNT_EVERY_MS) return;
    const pause = last === 0 ? FIRST_RECOUNT_PAUSE_MS : RECOUNT_PAUSE_MS;
    this.#counting = this.#recount(pause, this.#closing.signal).catch((error: unknown) => this.#warn(error));
  }

  /** A blob was opened. */
  touch(id: ObjectId): void {
    this.#notes.touch(id);
  }

  /** A blob of so many bytes was stored. */
  added(id: ObjectId, size: number): void {
    const bytes = footprint(size);
    this.#notes.added(id, bytes);
    this.#uncheckedBytes += bytes;
    if (this.#poll !== undefined && this.#uncheckedBytes >= CHECK_BYTES) this.#check();
  }

  /** So many bytes have arrived of a file that is not complete; 0: it is gone. */
  arrived(id: ObjectId, size: number): void {
    if (size === 0) return this.#notes.removed(id);
    this.#uncheckedBytes += this.#notes.grown(id, footprint(size));
    if (this.#poll !== undefined && this.#uncheckedBytes >= CHECK_BYTES) this.#check();
  }

  /** A file was removed. */
  removed(id: ObjectId): void {
    this.#notes.removed(id);
  }

  /** A write found the disk full: removes some blobs now. Whether it is worth another attempt. */
  makeRoom(): boolean {
    return this.#evictor.makeRoom();
  }

  /**
   * Bytes that may be fetched ahead of need: what is left of the budget; where hardly anything is left, some in the place
   * of what nobody used for an hour; else 0. So a prefetch never displaces what it fetched itself.
   */
  prefetchRoom(): number {
    const { directory, budget } = this.#options;
    const disk = readDiskSpace(directory);
    const room = roomOf(budget, disk, this.#countedBytes(disk));
    if (room >= PREFETCH_STEP_BYTES) return room;
    const [oldest] = this.#db.oldest(1, Date.now() - PREFETCH_DISPLACES_MS);
    return oldest === undefined ? Math.max(0, room) : PREFETCH_STEP_BYTES;
  }

  /** What the store takes now. */
  status(): StoreStatus {
    this.#notes.flush();
    const { directory, budget } = this.#options;
    const disk = readDiskSpace(directory);
    const { limit, keepFree } = resolveBudget(budget, disk);
    return {
      blobs: this.#db.state('blobs') - this.#db.state('large_files'),
      blobBytes: this.#db.state('bytes') - this.#db.state('large_bytes'),
      largeFiles: this.#db.state('large_files'),
      largeFileBytes: this.#db.state('large_bytes'),
      metadataBytes: this.#metadataBytes(),
      protectedBlobs: countFiles(join(directory, 'protected')),
      limitBytes: limit,
      keepFreeBytes: keepFree,
      freeBytes: disk.free,
      diskBytes: disk.total,
      isCounted: this.#db.state('counted_at') > 0,
    };
  }

  /**
   * Removes what was not used for longest until the store takes at most `target` bytes, or nothing is left that may go.
   * Counts all files first. Rejects with Node's errors.
   */
  async prune(target: number): Promise<Removed> {
    const { signal } = this.#closing;
    await this.#recount(0, signal);
    const bytes = this.#fileBytes() + this.#metadataBytes() - target;
    if (bytes <= 0) return { blobs: 0, bytes: 0 };
    return this.#evictor.evict({ bytes, unusedSince: Number.POSITIVE_INFINITY, signal, mayWait: true });
  }

  /** Writes what is not written yet, and ends. Resolves when nothing uses the folder any more. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearInterval(this.#poll);
    await Promise.all([this.#counting, this.#evicting, this.#shrinking]);
    await this.#notes.close();
    this.#db.close();
  }

  #fileBytes(): number {
    return this.#db.state('bytes') + this.#notes.unwrittenBytes;
  }

  /**
   * What counts against the limit. Files of databases do not shrink when something is forgotten: one that is larger than
   * its share (the limit was lowered) must not cost every blob as soon as it is stored.
   */
  #countedBytes(disk: DiskSpace): number {
    const { limit } = resolveBudget(this.#options.budget, disk);
    return this.#fileBytes() + Math.min(this.#metadataBytes(), limit * METADATA_SHARE);
  }

  #excess(): { readonly bytes: number; readonly isOverLimit: boolean } {
    const { directory, budget } = this.#options;
    const disk = readDiskSpace(directory);
    return excessOf(budget, disk, this.#countedBytes(disk));
  }

  #check(): void {
    this.#uncheckedBytes = 0;
    if (this.#evicting !== undefined || this.#closing.signal.aborted) return;
    const { bytes, isOverLimit } = this.#excess();
    if (bytes === 0) return;
    const unusedSince = Date.now() - (isOverLimit ? ARRIVAL_MS : RECENT_MS);
    this.#evicting = this.#evictor
      .evict({ bytes, unusedSince, signal: this.#closing.signal })
      .catch((error: unknown) => this.#warn(error))
      .finally(() => {
        this.#evicting = undefined;
      });
  }

  #checkMetadata(): void {
    const { directory, budget, shrinkMetadata } = this.#options;
    const most = resolveBudget(budget, readDiskSpace(directory)).limit * METADATA_SHARE;
    if (this.#shrinking !== undefined || most === Number.POSITIVE_INFINITY) return;
    const shrink = async (): Promise<void> => {
      while (!this.#closing.signal.aborted && shrinkMetadata(most)) {
        await delay(SHRINK_PAUSE_MS, undefined, { ref: false });
      }
    };
    this.#shrinking = shrink().finally(() => {
      this.#shrinking = undefined;
    });
  }

  /** Counts folder by folder; a later run goes on where this one ended. */
  async #recount(pauseMs: number, signal: AbortSignal): Promise<void> {
    this.#notes.flush();
    const { directory } = this.#options;
    const first = pauseMs === 0 ? 0 : this.#db.state('count_next');
    for (let prefix = first; prefix < STORE_FOLDERS; prefix++) {
      if (signal.aborted) return;
      await recountFolder(directory, prefix, this.#db, signal);
      if (pauseMs === 0) continue;
      this.#db.setState('count_next', prefix + 1);
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    this.#db.setState('count_next', 0);
    this.#db.setState('counted_at', Date.now());
  }

  #metadataBytes(): number {
    let bytes = 0;
    for (const name of DATABASE_FILES) {
      bytes += statSync(join(this.#options.directory, name), { throwIfNoEntry: false })?.size ?? 0;
    }
    return bytes;
  }

  /** Once for each reason in a row: it is met again every two seconds. */
  #warn(error: unknown): void {
    const { message } = error as Error;
    if (message === this.#warned) return;
    this.#warned = message;
    this.#options.onWarning(`the store could not be kept within its limit: ${message}`);
  }
}

function countFiles(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}
