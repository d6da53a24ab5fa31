// The files of the store: one for each blob, named by its id, holding its raw content.
import {
  closeSync,
  existsSync,
  fdatasync as fdatasyncCallback,
  fstatSync,
  futimesSync,
  openSync,
} from 'node:fs';
import { constants, statSync, unlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isObjectId } from '../util/git-hash.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import { hashBlobFile, hashSmallBlobFile } from './blob-hash.ts';
import { BlobWriter } from './blob-writer.ts';
import { PROVEN_TAG, readBootTag } from '../util/boot-tag.ts';
import { codeOf } from '../util/disk-full.ts';
import { toDiskError } from '../util/disk-error.ts';
import { temporaryName } from '../util/temporary-files.ts';

const fdatasync = promisify(fdatasyncCallback);

/** Up to this size a file is verified on the spot: it takes about a millisecond. */
const SYNC_VERIFY_BYTES = 1024 * 1024;

/** What BlobFiles tells its owner. */
export interface BlobFilesEvents {
  readonly onWarning: (message: string) => void;
  readonly onPublished: (id: ObjectId, size: number) => void;
  /** Called when the disk is full; whether something was removed. */
  readonly makeRoom: () => boolean;
}

/**
 * Blob files. Their modification time is no time but a tag that says why the content can be trusted without reading
 * it: the tag of this boot means that the file was verified since the machine started, so the page cache has what was
 * written, whatever reached the disk; PROVEN_TAG means that it was read back from the disk after an earlier boot and
 * synced. Everything else (a file of an earlier boot, which a power cut may have torn, a file that somebody edited or
 * truncated, a file restored from a backup) is hashed when it is first opened, and discarded when it is wrong. That
 * costs one fstat(2) for each open and one read of each file that survived a boot, and needs no list of files.
 */
export class BlobFiles {
  readonly #objects: string;
  readonly #temporary: string;
  readonly #events: BlobFilesEvents;
  readonly #bootTag = readBootTag();
  readonly #verifying = new Map<ObjectId, Promise<boolean>>();

  /** Folders of published and of temporary files; both exist, on one filesystem. */
  constructor(objects: string, temporary: string, events: BlobFilesEvents) {
    this.#objects = objects;
    this.#temporary = temporary;
    this.#events = events;
  }

  /**
   * A new read-only descriptor, or undefined when the blob is not there. A promise only while a large file is verified.
   */
  open(id: ObjectId): Awaitable<number | undefined> {
    const path = this.pathOf(id);
    let fd: number;
    try {
      // Node sets O_CLOEXEC.
      fd = openSync(path, constants.O_RDONLY);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw toDiskError(error, path);
    }
    const { mtimeMs, size } = fstatSync(fd);
    const tag = mtimeMs / 1000;
    if (tag === this.#bootTag || tag === PROVEN_TAG) return fd;
    return size <= SYNC_VERIFY_BYTES ? this.#verifySmall(id, fd, size) : this.#verifyLarge(id, fd, size);
  }

  /** Whether there is a file for the blob; it may still turn out to be damaged. */
  has(id: ObjectId): boolean {
    return existsSync(this.pathOf(id));
  }

  /** Size in bytes of a blob whose file can be trusted as it is, without reading it. */
  size(id: ObjectId): number | undefined {
    const stats = statIfPresent(this.pathOf(id));
    if (stats === undefined) return undefined;
    const tag = stats.mtimeMs / 1000;
    return tag === this.#bootTag || tag === PROVEN_TAG ? stats.size : undefined;
  }

  /** Starts to write a blob. */
  write(id: ObjectId): BlobWriter {
    return new BlobWriter(id, {
      temporaryPath: join(this.#temporary, temporaryName()),
      path: this.pathOf(id),
      tag: this.#bootTag,
      onPublished: (size) => this.#events.onPublished(id, size),
      makeRoom: () => this.#events.makeRoom(),
    });
  }

  #verifySmall(id: ObjectId, fd: number, size: number): number | undefined {
    let isRight = false;
    try {
      isRight = hashSmallBlobFile(fd, size) === id;
    } catch {
      // It cannot be read: a copy of the content is as good as any other, so this one goes.
    }
    if (!isRight) return this.#discard(id, fd);
    this.#setTag(fd, this.#bootTag);
    return fd;
  }

  async #verifyLarge(id: ObjectId, fd: number, size: number): Promise<number | undefined> {
    const running = this.#verifying.get(id);
    if (running !== undefined) {
      closeSync(fd);
      await running;
      return this.open(id);
    }
    const verification = this.#isIntact(id, fd, size);
    this.#verifying.set(id, verification);
    try {
      return (await verification) ? fd : this.#discard(id, fd);
    } finally {
      this.#verifying.delete(id);
    }
  }

  async #isIntact(id: ObjectId, fd: number, size: number): Promise<boolean> {
    try {
      if ((await hashBlobFile(fd, size)) !== id) return false;
      // Hashing a large file at every boot would be felt: make sure that what was read is on the disk, and note it.
      await fdatasync(fd);
    } catch {
      return false;
    }
    this.#setTag(fd, PROVEN_TAG);
    return true;
  }

  #setTag(fd: number, tag: number): void {
    try {
      futimesSync(fd, tag, tag);
    } catch {
      // Another user's file, or a read-only disk: it is verified again at every open.
    }
  }

  #discard(id: ObjectId, fd: number): undefined {
    closeSync(fd);
    const path = this.pathOf(id);
    try {
      unlinkSync(path);
    } catch (error) {
      // Left where it is it does no harm: publishing replaces it, and opening verifies it again.
      if (codeOf(error) === 'ENOENT') return undefined;
    }
    this.#events.onWarning(`the stored copy of blob ${id} was damaged (${path}); it is fetched again`);
    return undefined;
  }

  /** Where the blob's file is, or would be. */
  pathOf(id: ObjectId): string {
    if (!isObjectId(id)) throw new TypeError(`not an object id: ${JSON.stringify(id)}`);
    return `${this.#objects}/${id.slice(0, 2)}/${id.slice(2)}`;
  }
}

function statIfPresent(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // Whoever opens it meets the trouble.
    return undefined;
  }
}
