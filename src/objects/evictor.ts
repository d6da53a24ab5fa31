// Removes what was not used for longest: in small steps in the background, or at once when the disk is full.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type FileLock, tryLockFolder } from '../util/file-lock.ts';
import type { ObjectId } from '../util/types.ts';
import { footprint } from './disk-budget.ts';
import { type Eviction, evictBlob } from './evict-blob.ts';
import { STORE_FOLDERS } from './recount.ts';
import { isArrivingId, storedFilePath } from './stored-file.ts';
import type { UsageDb, UsedBlob } from './usage-db.ts';
import type { UsageNotes } from './usage-notes.ts';

/** Files that are removed before other work runs: about two milliseconds. */
const STEP_BLOBS = 32;
const PAUSE_MS = 1;
/** What a write that found the disk full makes free, so that the next one does not meet the same. */
const FULL_DISK_BYTES = 16 * 1024 * 1024;
const FULL_DISK_ROUNDS = 64;
/** The same where nobody knows what was used when: so much lets the databases be opened. */
const UNNOTED_BYTES = 1024 * 1024;
/** Then, smaller files stay: they can be read as long as the disk is full, and do not make it less so. */
const UNNOTED_LEAST_BYTES = 32 * 1024;
/** After an attempt in vain, how long a full disk is taken for granted. */
const FULL_DISK_PAUSE_MS = 1000;

/** What an eviction removed. */
export interface Removed {
  readonly blobs: number;
  /** Bytes of disk. */
  readonly bytes: number;
}

/** What to remove. */
export interface EvictionGoal {
  /** Bytes of disk that should become free. */
  readonly bytes: number;
  /** Only what was not used since; milliseconds since 1970. */
  readonly unusedSince: number;
  readonly signal: AbortSignal;
  /** Waits for another process that is removing; without it, the other one's work will do. */
  readonly mayWait?: boolean;
}

/**
 * Removes files, then forgets them: what a crash leaves between the two is a note of a file that is gone, which the next
 * eviction meets first, since it is the oldest.
 */
export class Evictor {
  readonly #directory: string;
  readonly #db: UsageDb;
  readonly #notes: UsageNotes;
  #fullUntilMs = 0;

  /** `directory` is the store's. */
  constructor(directory: string, db: UsageDb, notes: UsageNotes) {
    this.#directory = directory;
    this.#db = db;
    this.#notes = notes;
  }

  /** Removes in steps, until the goal is reached or nothing is left that may go. Rejects with Node's errors. */
  async evict({ bytes, unusedSince, signal, mayWait = false }: EvictionGoal): Promise<Removed> {
    const removed = { blobs: 0, bytes: 0 };
    const lock = await this.#lock(mayWait, signal);
    if (lock === undefined) return removed;
    try {
      this.#notes.flush();
      // What has to stay moves to the end of the queue, and is not met for the second time.
      const before = Math.min(unusedSince, Date.now() - 1);
      while (removed.bytes < bytes && !signal.aborted) {
        const oldest = this.#db.oldest(STEP_BLOBS, before);
        if (oldest.length === 0) break;
        const step = this.#step(oldest, bytes - removed.bytes);
        removed.blobs += step.blobs;
        removed.bytes += step.bytes;
        // Notes cannot be taken: the same blobs would come again for ever.
        if (!step.isNoted) break;
        await delay(PAUSE_MS, undefined, { ref: mayWait });
      }
    } finally {
      lock.release();
    }
    return removed;
  }

  /** Removes some now. Whether anything went, so that a write which found the disk full is worth another attempt. */
  makeRoom(): boolean {
    if (Date.now() < this.#fullUntilMs) return false;
    const passed = new Set<ObjectId>();
    let freed = 0;
    for (let round = 0; round < FULL_DISK_ROUNDS && freed < FULL_DISK_BYTES; round++) {
      // On a full disk no notes can be taken, so the same blobs may come again.
      const oldest = this.#db.oldest(STEP_BLOBS + passed.size).filter(({ id }) => !passed.has(id));
      if (oldest.length === 0) break;
      for (const { id } of oldest) passed.add(id);
      freed += this.#step(
        oldest.filter(({ id }) => !this.#notes.has(id)),
        FULL_DISK_BYTES - freed,
      ).bytes;
    }
    if (freed === 0) freed = this.#removeUnnoted();
    if (freed === 0) this.#fullUntilMs = Date.now() + FULL_DISK_PAUSE_MS;
    return freed > 0;
  }

  #step(oldest: readonly UsedBlob[], wanted: number): Removed & { readonly isNoted: boolean } {
    const gone: ObjectId[] = [];
    const kept: ObjectId[] = [];
    let blobs = 0;
    let bytes = 0;
    for (const blob of oldest) {
      if (bytes >= wanted) break;
      const outcome = this.#evict(blob.id);
      (outcome === 'kept' ? kept : gone).push(blob.id);
      if (outcome !== 'removed') continue;
      blobs++;
      bytes += blob.bytes;
    }
    const used = Date.now();
    const isForgotten = this.#db.remove(gone);
    const isNoted = kept.length === 0 || this.#db.note(kept.map((id) => [id, { used }]));
    return { blobs, bytes, isNoted: isForgotten && isNoted };
  }

  /** Without notes (they may be what does not fit on the disk) the files of some folder have to do, oldest first. */
  #removeUnnoted(): number {
    let freed = 0;
    const first = Math.floor(Math.random() * STORE_FOLDERS);
    for (let nth = 0; nth < STORE_FOLDERS && freed < UNNOTED_BYTES; nth++) {
      const name = ((first + nth) % STORE_FOLDERS).toString(16).padStart(2, '0');
      const large = join(this.#directory, 'lfs', 'objects', name);
      const folders = [
        join(this.#directory, 'objects', name),
        ...namesIn(large).map((second) => join(large, second)),
      ];
      for (const { path, size } of folders.flatMap(filesByAge)) {
        if (freed >= UNNOTED_BYTES) break;
        if (evictBlob(path) === 'removed') freed += footprint(size);
      }
    }
    return freed;
  }

  async #lock(mayWait: boolean, signal: AbortSignal): Promise<FileLock | undefined> {
    for (;;) {
      // A folder that is there: on a full disk no file could be made for it.
      const lock = tryLockFolder(join(this.#directory, 'objects'));
      if (lock !== undefined || !mayWait || signal.aborted) return lock;
      await delay(PAUSE_MS * STEP_BLOBS);
    }
  }

  #evict(id: ObjectId): Eviction {
    const path = storedFilePath(this.#directory, id);
    const outcome = evictBlob(path);
    // What tells which parts of it are there means nothing without it.
    if (isArrivingId(id) && outcome !== 'kept') rmSync(dirname(path), { recursive: true, force: true });
    return outcome;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Files of a folder that are worth removing, those first that were stored first. */
function filesByAge(folder: string): { path: string; size: number }[] {
  const files: { path: string; size: number; changed: number }[] = [];
  try {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const { size, ctimeMs } = statSync(path);
      if (size >= UNNOTED_LEAST_BYTES) files.push({ path, size, changed: ctimeMs });
    }
  } catch {
    // It is missing, or somebody else removes files at this moment.
  }
  return files.sort((a, b) => a.changed - b.changed);
}
