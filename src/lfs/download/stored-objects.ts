// Complete large files of the store: opening, verifying, publishing, removing, listing.
import {
  closeSync,
  constants,
  fchmodSync,
  fdatasync as fdatasyncCallback,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PROVEN_TAG, readBootTag } from '../../util/boot-tag.ts';
import { toDiskError } from '../../util/disk-error.ts';
import { codeOf } from '../../util/disk-full.ts';
import { takeLease } from '../../util/file-lease.ts';
import { inTime } from '../../util/in-time.ts';
import { largeFilePath } from '../../util/large-file-paths.ts';
import { SingleFlight } from '../../util/single-flight.ts';
import type { Awaitable } from '../../util/types.ts';
import { LfsError } from '../lfs-error.ts';
import { isLfsOid, type LfsOid } from '../lfs-object.ts';
import type { LargeFileRoom } from './downloads-options.ts';
import { hashFile } from './hash-file.ts';

const fdatasync = promisify(fdatasyncCallback);

/** Complete objects are read-only: whoever shares the folder must not write into them. */
const OBJECT_MODE = 0o444;
/** How long the end of this process waits for the disk. */
const LAST_SYNC_TIMEOUT_MS = 2000;

/** What tells a file that was verified. */
interface VerifiedFile {
  readonly ino: number;
  readonly mtimeMs: number;
}

/**
 * Files by oid. As for blobs (objects/blob-files.ts) the modification time is a tag that says why the content can be
 * trusted: verified since the machine started, or read back and synced. What has another one (git-lfs put it there, it
 * was edited, a power cut came) is hashed before it is used, and removed when it is wrong.
 */
export class StoredObjects {
  readonly #directory: string;
  readonly #room: LargeFileRoom | undefined;
  readonly #onWarning: (message: string) => void;
  readonly #bootTag = readBootTag();
  readonly #verifying = new SingleFlight<LfsOid, VerifiedFile | undefined>(givenUp);
  readonly #unsynced: LfsOid[] = [];
  #syncing: Promise<void> | undefined;
  #isClosed = false;

  /** `directory` is the store's. */
  constructor(directory: string, room: LargeFileRoom | undefined, onWarning: (message: string) => void) {
    this.#directory = directory;
    this.#room = room;
    this.#onWarning = onWarning;
  }

  /** Whether there is an object that can be trusted as it is; of that size, where one is given. */
  has(oid: LfsOid, size?: number): boolean {
    const path = largeFilePath(this.#directory, oid);
    try {
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats?.isFile() !== true || (size !== undefined && stats.size !== size)) return false;
      return this.#isRightTag(stats.mtimeMs);
    } catch {
      // Whoever opens it meets the trouble.
      return false;
    }
  }

  /** A new descriptor of an object that can be trusted as it is. */
  openTrusted(oid: LfsOid): number | undefined {
    const fd = this.#openAny(oid);
    if (fd === undefined) return undefined;
    if (!this.#isTrusted(fd)) {
      closeSync(fd);
      return undefined;
    }
    this.#room?.used(oid);
    return fd;
  }

  /**
   * A new descriptor of an object; a promise while it has to be verified first, which rejects with LfsError as soon as
   * the signal aborts.
   */
  open(oid: LfsOid, signal?: AbortSignal): Awaitable<number | undefined> {
    const fd = this.#openAny(oid);
    if (fd === undefined) return undefined;
    if (!this.#isTrusted(fd)) {
      closeSync(fd);
      return this.#openVerified(oid, signal);
    }
    this.#room?.used(oid);
    return fd;
  }

  /**
   * Gives the open file at `path`, whose content is verified, its name and its mode. It is synced afterwards: until
   * then a power cut costs a verification. Throws ErrnoError.
   */
  publish(oid: LfsOid, fd: number, path: string): void {
    const target = largeFilePath(this.#directory, oid);
    try {
      const { size, nlink } = fstatSync(fd);
      fchmodSync(fd, OBJECT_MODE);
      futimesSync(fd, this.#bootTag, this.#bootTag);
      mkdirSync(dirname(target), { recursive: true });
      renameSync(path, target);
      // What has another name elsewhere takes no room of its own, and none would come back without it.
      this.#room?.stored(oid, nlink > 1 ? 0 : size);
    } catch (error) {
      throw toDiskError(error, target);
    }
    this.#unsynced.push(oid);
    this.#syncing ??= this.#syncAll();
  }

  /** Removes an object unless it is open, or has a second name that protects or shares it; its size if it is gone. */
  remove(oid: LfsOid): number | undefined {
    const path = largeFilePath(this.#directory, oid);
    const fd = this.#openAny(oid);
    if (fd === undefined) return undefined;
    try {
      const { nlink, size } = fstatSync(fd);
      if (nlink > 1 || takeLease(fd) === 'open') return undefined;
      unlinkSync(path);
      this.#room?.removed([oid]);
      return size;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw toDiskError(error, path);
    } finally {
      closeSync(fd);
    }
  }

  /** All that are there, verified or not, in the order of their oids. */
  async *list(): AsyncGenerator<{ readonly oid: LfsOid; readonly size: number }> {
    const objects = join(this.#directory, 'lfs', 'objects');
    for (const first of await foldersIn(objects)) {
      for (const second of await foldersIn(join(objects, first))) {
        for (const oid of (await namesIn(join(objects, first, second))).filter(isLfsOid)) {
          const stats = await stat(join(objects, first, second, oid)).catch(() => undefined);
          if (stats?.isFile() === true) yield { oid, size: stats.size };
        }
      }
    }
  }

  /** Resolves when nothing is written any more; the disk may still be syncing. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const syncing = this.#syncing ?? Promise.resolve();
    // What is not synced is verified at its next open.
    await Promise.all([inTime(syncing, LAST_SYNC_TIMEOUT_MS), this.#verifying.close()]);
  }

  #openAny(oid: LfsOid): number | undefined {
    const path = largeFilePath(this.#directory, oid);
    try {
      return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw toDiskError(error, path);
    }
  }

  #isTrusted(fd: number): boolean {
    return this.#isRightTag(fstatSync(fd).mtimeMs);
  }

  #isRightTag(mtimeMs: number): boolean {
    return mtimeMs === this.#bootTag * 1000 || mtimeMs === PROVEN_TAG * 1000;
  }

  async #openVerified(oid: LfsOid, signal: AbortSignal | undefined): Promise<number | undefined> {
    const verified = await this.#verifying.run(oid, (gone) => this.#verify(oid, gone), { signal });
    const fd = verified === undefined ? undefined : this.#openAny(oid);
    if (fd === undefined) return undefined;
    const { ino, mtimeMs } = fstatSync(fd);
    // Not by the tag: another user's file cannot be given one.
    if (ino === verified?.ino && mtimeMs === verified.mtimeMs) {
      this.#room?.used(oid);
      return fd;
    }
    closeSync(fd);
    return this.openTrusted(oid);
  }

  /** Undefined when there is none any more; what is wrong is removed. Rejects with LfsError when the signal aborts. */
  async #verify(oid: LfsOid, signal: AbortSignal): Promise<VerifiedFile | undefined> {
    const fd = this.#openAny(oid);
    if (fd === undefined) return undefined;
    try {
      return await this.#verifyOpen(oid, fd, signal);
    } finally {
      closeSync(fd);
    }
  }

  async #verifyOpen(oid: LfsOid, fd: number, signal: AbortSignal): Promise<VerifiedFile | undefined> {
    const path = largeFilePath(this.#directory, oid);
    const { size, nlink, ino, mtimeMs } = fstatSync(fd);
    try {
      if ((await hashFile(fd, size, signal)) === oid) {
        // Somebody wrote into it meanwhile: who knows what was hashed.
        if (fstatSync(fd).mtimeMs !== mtimeMs) return undefined;
        await this.#prove(fd);
        this.#room?.stored(oid, nlink > 1 ? 0 : size);
        return { ino, mtimeMs: fstatSync(fd).mtimeMs };
      }
    } catch (error) {
      if (signal.aborted) throw givenUp();
      this.#onWarning(`cannot read the stored large file ${path}: ${(error as Error).message}`);
    }
    try {
      unlinkSync(path);
      this.#room?.removed([oid]);
    } catch {
      // It is verified again at the next open.
    }
    this.#onWarning(`the stored large file ${oid} was damaged (${path}); it is fetched again`);
    return undefined;
  }

  /** Makes sure that it is on the disk, and notes it. */
  async #prove(fd: number): Promise<void> {
    const before = fstatSync(fd).mtimeMs;
    await fdatasync(fd);
    try {
      if (fstatSync(fd).mtimeMs === before) futimesSync(fd, PROVEN_TAG, PROVEN_TAG);
    } catch {
      // Another user's file: it is verified again at every open.
    }
  }

  /** One after the other: nobody waits for it, and the disk has better things to do. */
  async #syncAll(): Promise<void> {
    for (let oid = this.#unsynced.shift(); oid !== undefined; oid = this.#unsynced.shift()) {
      if (this.#isClosed) break;
      let fd: number | undefined;
      try {
        fd = this.#openAny(oid);
        if (fd !== undefined && this.#isTrusted(fd)) await this.#prove(fd);
      } catch {
        // It stays as it is, and is verified after the next start of the machine.
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
    }
    this.#syncing = undefined;
  }
}

function givenUp(): LfsError {
  return new LfsError('aborted', 'the stored large file was still being verified');
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort((a, b) => (a < b ? -1 : 1));
}

const foldersIn = async (folder: string): Promise<string[]> =>
  (await namesIn(folder)).filter((name) => /^[0-9a-f]{2}$/u.test(name));
