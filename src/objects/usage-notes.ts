// Gathers what is used and stored, and writes it down in batches, off the path of whoever uses it.
import { setImmediate as giveWay } from 'node:timers/promises';
import type { ObjectId } from '../util/types.ts';
import type { Usage, UsageDb } from './usage-db.ts';

/** Uses of one blob are noted at most once in this time: the order of use need not be finer. */
const TOUCH_INTERVAL_MS = 10 * 60 * 1000;
/** Blobs that this is remembered of; beyond, a blob may be noted more often. */
const TOUCHED_BLOBS = 65_536;
/** What was used or stored is written after this time; a crash costs so much. */
const FLUSH_DELAY_MS = 3000;
/** Notes that are kept when they cannot be written; the next count of the files makes up for the others. */
const UNWRITTEN_BLOBS = 100_000;
/** About five milliseconds of this thread. */
const ROWS_PER_TRANSACTION = 128;

interface Note extends Usage {
  /** By how much the total changes when it is written. */
  readonly growth: number;
}

/** The notes of one process. */
export class UsageNotes {
  readonly #db: UsageDb;
  readonly #unwritten = new Map<ObjectId, Note>();
  /** What files that grow were last noted to take. */
  readonly #growing = new Map<ObjectId, number>();
  /** Noted since the interval began. */
  readonly #touched = new Set<ObjectId>();
  #touchedSinceMs = 0;
  #unwrittenBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #isMarked = false;
  #isClosed = false;

  constructor(db: UsageDb) {
    this.#db = db;
  }

  /** Bytes of blobs that were stored and are not written down. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Whether something about the blob waits to be written. */
  has(id: ObjectId): boolean {
    return this.#unwritten.has(id);
  }

  /** A blob was opened. */
  touch(id: ObjectId): void {
    if (this.#touched.has(id)) return;
    const now = Date.now();
    if (now - this.#touchedSinceMs > TOUCH_INTERVAL_MS || this.#touched.size >= TOUCHED_BLOBS) {
      this.#touched.clear();
      this.#touchedSinceMs = now;
    }
    this.#touched.add(id);
    // One that was just stored is being noted as used now.
    if (!this.#unwritten.has(id)) this.#note(id, { used: now, growth: 0 });
  }

  /** A blob was stored that takes so many bytes of disk. */
  added(id: ObjectId, bytes: number): void {
    this.#mark();
    this.#touched.add(id);
    this.#note(id, { bytes, used: Date.now(), growth: bytes });
  }

  /** A file that grows takes so many bytes of disk by now. Returns by how much that is more than before. */
  grown(id: ObjectId, bytes: number): number {
    this.#mark();
    const before = this.#growing.get(id) ?? this.#db.find(id)?.bytes ?? 0;
    this.#growing.set(id, bytes);
    const pending = this.#unwritten.get(id)?.growth ?? 0;
    this.#note(id, { bytes, used: Date.now(), growth: pending + bytes - before });
    return bytes - before;
  }

  /** A file is not there any more. */
  removed(id: ObjectId): void {
    const known = this.#growing.get(id) ?? this.#db.find(id)?.bytes;
    this.#growing.delete(id);
    this.#touched.delete(id);
    const pending = this.#unwritten.get(id)?.growth ?? 0;
    if (known === undefined && pending === 0) return;
    this.#note(id, { used: Date.now(), isGone: true, growth: -(this.#db.find(id)?.bytes ?? 0) });
  }

  /** Writes everything now; what cannot be written stays. */
  flush(): void {
    while (this.#writeSome());
  }

  /** Writes everything, and takes nothing any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#writing;
    this.flush();
    if (this.#isMarked && this.#unwritten.size === 0) this.#db.setState('open', 0);
  }

  #mark(): void {
    if (this.#isMarked) return;
    // Where this is found at the next start, notes were lost with a process.
    this.#isMarked = true;
    this.#db.setState('open', 1);
  }

  #note(id: ObjectId, note: Note): void {
    if (this.#isClosed || this.#unwritten.size >= UNWRITTEN_BLOBS) return;
    this.#unwrittenBytes += note.growth - (this.#unwritten.get(id)?.growth ?? 0);
    this.#unwritten.set(id, note);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#writing = this.#writeAll().finally(() => {
        this.#timer = undefined;
        if (this.#unwritten.size > 0) this.#schedule();
      });
    }, FLUSH_DELAY_MS);
    this.#timer.unref();
  }

  async #writeAll(): Promise<void> {
    while (!this.#isClosed && this.#writeSome()) await giveWay();
  }

  /** Writes a batch; whether there may be more to write. */
  #writeSome(): boolean {
    if (this.#unwritten.size === 0) return false;
    const batch: [ObjectId, Note][] = [];
    for (const entry of this.#unwritten) {
      batch.push(entry);
      if (batch.length === ROWS_PER_TRANSACTION) break;
    }
    if (!this.#db.note(batch)) return false;
    for (const [id, { growth }] of batch) {
      this.#unwritten.delete(id);
      this.#unwrittenBytes -= growth;
    }
    return true;
  }
}
