// Takes the bytes of one blob into a temporary file, and publishes it when they hash to its id.
import { closeSync, fstatSync, ftruncateSync, futimesSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { constants, unlinkSync, write as writeCallback, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { BlobSink } from '../upstream/upstream.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { createObjectHasher, type ObjectHasher } from '../util/git-hash.ts';
import type { ObjectId } from '../util/types.ts';
import { hashBlobFile } from './blob-hash.ts';
import { codeOf, isDiskFull } from '../util/disk-full.ts';
import { toDiskError } from '../util/disk-error.ts';

const write = promisify(writeCallback);

// Up to here a blob is written on this thread: handing a chunk to the thread pool costs more than copying it to the
// page cache. Beyond, the kernel may make the writer wait for the disk, which must not stop everything else.
const SYNC_WRITE_BYTES = 1024 * 1024;

/** Where a blob goes. */
export interface BlobTarget {
  readonly temporaryPath: string;
  readonly path: string;
  /** Modification time to publish it with, in seconds; see BlobFiles. */
  readonly tag: number;
  /** Called with the size when the blob was published. */
  readonly onPublished: (size: number) => void;
  /** Called when the disk is full; true when something was removed, so that it is worth to try again. */
  readonly makeRoom: () => boolean;
}

/**
 * A sink that publishes. After `begin` and `write`, either `finish` or `abandon` must be called; `abandon` may follow
 * anything. Failures of the disk are ErrnoError (ENOSPC also for a full quota).
 */
export class BlobWriter implements BlobSink {
  readonly #id: ObjectId;
  readonly #target: BlobTarget;
  #fd: number | undefined;
  #position = 0;
  #declaredSize: number | undefined;
  #hasher: ObjectHasher | undefined;
  #hashed: ObjectId | undefined;
  #failure: Error | undefined;
  #busy = false;
  #done = false;

  constructor(id: ObjectId, target: BlobTarget) {
    this.#id = id;
    this.#target = target;
  }

  /** The failure of the local disk, if there was one: the reason to report, whatever the sender made of it. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Bytes of the current attempt. */
  get bytes(): number {
    return this.#position;
  }

  begin(size: number | undefined): void {
    this.#guard(() => {
      if (this.#fd === undefined) {
        const { O_CREAT, O_EXCL, O_RDWR } = constants;
        this.#fd = openSync(this.#target.temporaryPath, O_CREAT | O_EXCL | O_RDWR, 0o444);
      } else if (this.#position > 0) {
        ftruncateSync(this.#fd, 0);
      }
    });
    this.#position = 0;
    this.#declaredSize = size;
    // The header that Git hashes before the content names the size: without it, the file is hashed when it is complete.
    this.#hasher = size === undefined ? undefined : createObjectHasher('blob', size);
    this.#hashed = undefined;
  }

  digest(): ObjectId {
    this.#hashed ??= this.#hasher?.digest() ?? '';
    return this.#hashed;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    const fd = this.#openFd();
    this.#hasher?.update(chunk);
    if (this.#position + chunk.byteLength > SYNC_WRITE_BYTES) return this.#writeAsync(fd, chunk);
    let written = 0;
    this.#guard(() => {
      while (written < chunk.byteLength) {
        const count = writeSync(fd, chunk, written, chunk.byteLength - written, this.#position);
        written += count;
        this.#position += count;
      }
    });
  }

  /**
   * Verifies what was written and publishes it: from now on every process finds it. Resolves to its size.
   *
   * @throws UpstreamError of kind `corrupt` when it does not hash to the id; nothing is published then.
   */
  async finish(): Promise<number> {
    const fd = this.#openFd();
    const size = this.#position;
    const hashed =
      this.#hasher !== undefined && this.#declaredSize === size
        ? this.digest()
        : await this.#exclusively(() => hashBlobFile(fd, size));
    if (hashed !== this.#id) {
      this.abandon();
      throw new UpstreamError(
        'corrupt',
        `blob ${this.#id}: the ${size} bytes that arrived hash to ${hashed}; check the server's storage`,
      );
    }
    // The verification may have waited, and somebody given up meanwhile.
    this.#openFd();
    this.#guard(() => this.#publish(fd));
    this.#target.onPublished(size);
    return size;
  }

  /** Removes the temporary file, unless the blob was published. Never fails. */
  abandon(): void {
    if (this.#done) return;
    this.#done = true;
    // A write in the thread pool still uses the descriptor, whose number must not be given to another file meanwhile.
    if (!this.#busy) this.#discard();
  }

  /**
   * No fsync: the content can be fetched again, so a power cut may cost the file but must not be paid for by every
   * file. What it may leave behind (a file that is short or has holes) is found by its tag, see BlobFiles.
   */
  #publish(fd: number): void {
    const { temporaryPath, path, tag } = this.#target;
    // Before the file has its name: who finds it finds it complete.
    futimesSync(fd, tag, tag);
    try {
      renameSync(temporaryPath, path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      mkdirSync(dirname(path), { recursive: true });
      renameSync(temporaryPath, path);
    }
    this.#done = true;
    this.#close();
  }

  async #writeAsync(fd: number, chunk: Uint8Array): Promise<void> {
    try {
      await this.#exclusively(async () => {
        for (let written = 0; written < chunk.byteLength;) {
          const count = await this.#writeSome(fd, chunk, written);
          written += count;
          this.#position += count;
        }
      });
    } catch (error) {
      throw this.#fail(error);
    }
    this.#openFd();
  }

  async #writeSome(fd: number, chunk: Uint8Array, from: number): Promise<number> {
    for (;;) {
      try {
        return (await write(fd, chunk, from, chunk.byteLength - from, this.#position)).bytesWritten;
      } catch (error) {
        if (!isDiskFull(error) || !this.#target.makeRoom()) throw error;
      }
    }
  }

  async #exclusively<T>(use: () => Promise<T>): Promise<T> {
    this.#busy = true;
    try {
      return await use();
    } finally {
      this.#busy = false;
      if (this.#done) this.#discard();
    }
  }

  #openFd(): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#done) throw new UpstreamError('aborted', `blob ${this.#id}: its transfer was given up`);
    if (this.#fd === undefined) throw new UpstreamError('server', `blob ${this.#id}: no bytes arrived`);
    return this.#fd;
  }

  /** Runs a step, which goes on where it stood when it is called again: on a full disk it may be. */
  #guard(step: () => void): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#done) throw new UpstreamError('aborted', `blob ${this.#id}: its transfer was given up`);
    for (;;) {
      try {
        return step();
      } catch (error) {
        if (!isDiskFull(error) || !this.#target.makeRoom()) throw this.#fail(error);
      }
    }
  }

  #fail(error: unknown): Error {
    this.#failure = toDiskError(error, this.#target.path);
    this.abandon();
    return this.#failure;
  }

  #discard(): void {
    if (this.#fd === undefined) return;
    try {
      // Only the name that this writer made, and only while it is still this file.
      if (fstatSync(this.#fd).nlink > 0) unlinkSync(this.#target.temporaryPath);
    } catch {
      // It is removed as a leftover once this process is gone.
    }
    this.#close();
  }

  #close(): void {
    if (this.#fd === undefined) return;
    try {
      closeSync(this.#fd);
    } catch {
      // Content was verified by reading it or as it was written; nothing can be done about a late report here.
    }
    this.#fd = undefined;
  }
}
