// A large file that is arriving: its bytes on the disk, which parts there are, and their hash.
import {
  closeSync,
  constants,
  fdatasync as fdatasyncCallback,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  writev as writevCallback,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { atomicWrite } from '../../util/atomic-write.ts';
import { toDiskError } from '../../util/disk-error.ts';
import { isDiskFull } from '../../util/disk-full.ts';
import { inTime } from '../../util/in-time.ts';
import { arrivingFilePath } from '../../util/large-file-paths.ts';
import type { LfsObject } from '../lfs-object.ts';
import type { LargeFileRoom } from './downloads-options.ts';
import { findRoom } from './find-room.ts';
import { PrefixHasher } from './prefix-hasher.ts';
import { RangeMap } from './range-map.ts';
import { formatRangeRecord, readRangeRecord } from './range-record.ts';

const writev = promisify(writevCallback);
const fdatasync = promisify(fdatasyncCallback);

/** A killed process costs what came in this time. */
const SAVE_DELAY_MS = 300;
/** A power cut costs so much, or what came in so long a time. */
const SYNC_BYTES = 256 * 1024 * 1024;
const SYNC_INTERVAL_MS = 30_000;
/** With less, the next write would find the disk full again. */
const LEAST_ROOM_BYTES = 2 * 1024 * 1024;
/** What is left for syncing when nobody needs the file any more. */
const LAST_SYNC_TIMEOUT_MS = 2000;

/**
 * The file `data` of the final size, with holes where nothing has come, and the file `ranges`, which is written after
 * the bytes that it speaks of. No byte is written twice: what is there, or on its way to the disk, is left alone, so
 * the bytes that were hashed are those of the file.
 */
export class IncompleteObject {
  readonly fd: number;
  readonly size: number;
  /** What can be read from the file. */
  readonly ranges: RangeMap;
  /** Of all that was said to be there when it was opened, in bytes. */
  readonly resumedBytes: number;
  readonly #oid: string;
  readonly #folder: string;
  readonly #room: LargeFileRoom | undefined;
  /** What is there, or being written. */
  #claimed: RangeMap;
  #synced: RangeMap;
  #hasher: PrefixHasher;
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  #lastSyncMs = Date.now();
  #isClosed = false;
  #isFdClosed = false;

  /** Opens what an earlier run left, or begins anew. `directory` is the store's. Throws ErrnoError. */
  constructor(directory: string, object: LfsObject, room: LargeFileRoom | undefined) {
    this.#oid = object.oid;
    this.size = object.size;
    this.#room = room;
    this.#folder = arrivingFilePath(directory, object.oid);
    const opened = this.#open();
    this.fd = opened.fd;
    this.ranges = opened.ranges;
    this.#synced = opened.synced;
    this.#claimed = new RangeMap(this.ranges);
    this.#hasher = new PrefixHasher(this.fd, this.ranges);
    this.resumedBytes = this.ranges.bytes;
  }

  /** Where the bytes are. */
  get path(): string {
    return `${this.#folder}/data`;
  }

  get isComplete(): boolean {
    return this.ranges.bytes === this.size;
  }

  /** A new read-only descriptor of the bytes. Throws ErrnoError. */
  openToRead(): number {
    try {
      return openSync(this.path, constants.O_RDONLY);
    } catch (error) {
      throw toDiskError(error, this.path);
    }
  }

  /** The first stretch in a range that neither is there nor is being written. */
  gap(start: number, end: number): readonly [number, number] | undefined {
    return this.#claimed.gap(start, end);
  }

  /**
   * Writes what of some chunks, one after the other, is not there yet; how many bytes that were. Rejects with ErrnoError.
   * On a full disk it waits a while for room, unless the signal aborts.
   */
  async write(position: number, chunks: readonly Uint8Array[], signal?: AbortSignal): Promise<number> {
    const end = chunks.reduce((sum, { length }) => sum + length, position);
    let written = 0;
    for (let gap = this.gap(position, end); gap !== undefined; gap = this.gap(gap[1], end)) {
      const [from, to] = gap;
      this.#claimed.add(from, to);
      const pieces = to - from === end - position ? chunks : cut(chunks, from - position, to - position);
      const writing = this.#writeAll(pieces, from, signal);
      let at = from;
      for (const piece of pieces) {
        this.#hasher.feed(at, piece);
        at += piece.length;
      }
      await writing;
      this.ranges.add(from, to);
      written += to - from;
    }
    if (written > 0) this.#saveSoon();
    return written;
  }

  /** Reads what has to be read for the hash, at leisure; the oid of what is there from the first byte on. */
  async hash(): Promise<string> {
    const hasher = this.#hasher;
    await hasher.catchUp();
    // It may have been about to end when the last bytes came.
    if (hasher.position < this.size) await hasher.catchUp();
    return hasher.position === this.size ? hasher.digest() : '';
  }

  /** Begins to hash what is there; its end needs not be awaited. */
  hashAhead(): void {
    // What goes wrong is met again by `hash`.
    this.#hasher.catchUp().catch(() => undefined);
  }

  /** After a write failed: what was claimed for it is missing again. Nothing may be writing any more. */
  async unclaim(): Promise<void> {
    await this.#hasher.stop();
    this.#claimed = new RangeMap(this.ranges);
    this.#hasher = new PrefixHasher(this.fd, this.ranges);
  }

  /** Throws the bytes away and begins anew, in the same file. Nothing may be reading or writing. Rejects with ErrnoError. */
  async restart(): Promise<void> {
    await this.#settle();
    this.ranges.clear();
    this.#synced.clear();
    await this.unclaim();
    try {
      rmSync(`${this.#folder}/ranges`, { force: true });
      ftruncateSync(this.fd, 0);
      ftruncateSync(this.fd, this.size);
    } catch (error) {
      throw toDiskError(error, this.path);
    }
    this.#room?.arrived(this.#oid, 0);
  }

  /** Ends, and keeps what is there for the next time. Nothing may be writing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#settle();
    if (this.ranges.bytes === 0) return this.discard();
    if (!this.isComplete) {
      const synced = this.#sync().catch(() => undefined);
      await inTime(synced, LAST_SYNC_TIMEOUT_MS);
      await this.#save();
      // The descriptor must stay until the kernel is done with it.
      void synced.then(() => this.#closeFd());
      this.#isClosed = true;
      return;
    }
    await this.#save();
    this.#closeFd();
  }

  /** Ends, and removes what there is. Descriptors that were given out stay good. */
  async discard(): Promise<void> {
    await this.#settle();
    this.#closeFd();
    await rm(this.#folder, { recursive: true, force: true });
    this.#room?.arrived(this.#oid, 0);
  }

  /** Ends after `data` was published: removes the rest. */
  async finish(): Promise<void> {
    await this.#settle();
    this.#closeFd();
    // What is left without its bytes means nothing, and goes with the next ones.
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
    // Whatever was being noted meanwhile.
    this.#room?.arrived(this.#oid, 0);
  }

  #open(): { fd: number; ranges: RangeMap; synced: RangeMap } {
    const { O_RDWR, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const record = `${this.#folder}/ranges`;
    let opened: number | undefined;
    try {
      mkdirSync(this.#folder, { recursive: true });
      try {
        opened = openSync(this.path, O_RDWR | O_NOFOLLOW);
        if (fstatSync(opened).size === this.size) {
          return { fd: opened, ...readRangeRecord(record, this.size) };
        }
        closeSync(opened);
      } catch {
        // There is none, or none that can be used.
      }
      // First what speaks of the bytes, then the bytes: a crash between the two leaves nothing that is wrong.
      rmSync(record, { force: true });
      opened = openSync(this.path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
      ftruncateSync(opened, this.size);
      return { fd: opened, ranges: new RangeMap(), synced: new RangeMap() };
    } catch (error) {
      throw toDiskError(error, this.path);
    }
  }

  async #writeAll(
    pieces: readonly Uint8Array[],
    position: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let left = pieces;
    for (let at = position; left.length > 0;) {
      try {
        const { bytesWritten } = await writev(this.fd, left, at);
        at += bytesWritten;
        left = cut(left, bytesWritten);
      } catch (error) {
        if (!isDiskFull(error)) throw toDiskError(error, this.path);
        const wanted = { room: this.#room, directory: this.#folder, bytes: LEAST_ROOM_BYTES };
        if (!(await findRoom(wanted, signal))) throw toDiskError(error, this.path);
      }
    }
  }

  #saveSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#saving = this.#saving.then(async () => {
        if (this.#isClosed) return;
        const unsynced = this.ranges.bytes - this.#synced.bytes;
        const isDue = Date.now() - this.#lastSyncMs >= SYNC_INTERVAL_MS;
        await this.#save();
        if (unsynced < SYNC_BYTES && !isDue) return;
        await this.#sync().catch(() => undefined);
        await this.#save();
      });
    }, SAVE_DELAY_MS).unref();
  }

  async #save(): Promise<void> {
    const text = formatRangeRecord(this.size, this.ranges, this.#synced);
    try {
      await atomicWrite(`${this.#folder}/ranges`, text, { durable: false });
    } catch {
      // On a full disk: the next start has to fetch more than it had to.
    }
    this.#room?.arrived(this.#oid, this.ranges.bytes);
  }

  async #sync(): Promise<void> {
    this.#lastSyncMs = Date.now();
    const written = new RangeMap(this.ranges);
    await fdatasync(this.fd);
    this.#synced = written;
  }

  /** Resolves when nothing uses the descriptor but what the caller started. */
  async #settle(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#saving;
    await this.#hasher.stop();
  }

  #closeFd(): void {
    this.#isClosed = true;
    if (this.#isFdClosed) return;
    this.#isFdClosed = true;
    try {
      closeSync(this.fd);
    } catch {
      // Nothing that was verified depends on it.
    }
  }
}

/** The bytes of some chunks from one position up to another, counted from the first one's first. */
function cut(chunks: readonly Uint8Array[], start: number, end = Number.POSITIVE_INFINITY): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const chunk of chunks) {
    const piece = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
    if (piece.length > 0) pieces.push(piece);
    at += chunk.length;
  }
  return pieces;
}
