// Large files on the local disk, in the layout of git-lfs: a repository in which git-lfs worked serves what it has.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LfsObject, LfsOid } from '../../lfs/lfs-object.ts';
import { removeLeftovers, temporaryName } from '../../util/temporary-files.ts';
import { LfsRequestError } from './lfs-answer.ts';

/** Content that is sent: an open file, which the caller closes, and its size in bytes. */
export interface OpenObject {
  readonly file: FileHandle;
  readonly size: number;
}

/** The objects below a folder: `objects/ab/cd/<oid>`, and `incoming/` for what is not complete yet. */
export class LfsObjectStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Folder for uploads on their way. Not git-lfs's own `tmp`, in which it removes all that it does not know. */
  get incoming(): string {
    return join(this.#root, 'incoming');
  }

  /** Removes what servers that died have left. */
  async clean(): Promise<void> {
    await removeLeftovers(this.incoming).catch(() => undefined);
  }

  /** Size of a complete object in bytes; undefined where there is none. */
  async size(oid: LfsOid): Promise<number | undefined> {
    const found = await stat(this.#path(oid)).catch(missing);
    return found?.isFile() === true ? found.size : undefined;
  }

  /** Opens a complete object to read; undefined where there is none. */
  async open(oid: LfsOid): Promise<OpenObject | undefined> {
    const file = await open(this.#path(oid), constants.O_RDONLY).catch(missing);
    if (file === undefined) return undefined;
    const found = await file.stat();
    if (found.isFile()) return { file, size: found.size };
    await file.close();
    return undefined;
  }

  /**
   * Takes an object from a stream, with the memory of one piece: it is written beside the others, and appears among them
   * when size and hash are right. `size` undefined: nobody said. Rejects with LfsRequestError 422 for other content, 507
   * for a full disk, and leaves nothing then.
   */
  async receive(oid: LfsOid, size: number | undefined, content: AsyncIterable<Uint8Array>): Promise<void> {
    await mkdir(this.incoming, { recursive: true });
    const temporary = join(this.incoming, temporaryName());
    const file = await open(temporary, 'wx', 0o644);
    try {
      try {
        const hash = createHash('sha256');
        let received = 0;
        for await (const chunk of content) {
          const end = received + chunk.length;
          if (size !== undefined && end > size) throw wrongSize({ oid, size }, `more than ${size}`);
          hash.update(chunk);
          await writeAll(file, chunk, received);
          received = end;
        }
        if (size !== undefined && received !== size) throw wrongSize({ oid, size }, String(received));
        checkHash(oid, hash.digest('hex'));
        // Who pushes a pointer next relies on it.
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.publish(oid, temporary);
    } catch (error) {
      await rm(temporary, { force: true });
      throw withStatus(error);
    }
  }

  /** Makes a complete, verified file the object. */
  async publish(oid: LfsOid, from: string): Promise<void> {
    const path = this.#path(oid);
    await mkdir(dirname(path), { recursive: true });
    await rename(from, path);
    const folder = await open(dirname(path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  #path(oid: LfsOid): string {
    return join(this.#root, 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);
  }
}

/** Writes all bytes at a position; `FileHandle.write` may write fewer. Rejects with Node's system errors. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

/** @throws LfsRequestError 422 when the content is not what the oid names */
export function checkHash(oid: LfsOid, found: string): void {
  if (found !== oid) throw new LfsRequestError(422, `the content has the SHA-256 ${found}, not ${oid}`);
}

function wrongSize({ oid, size }: LfsObject, received: string): LfsRequestError {
  return new LfsRequestError(422, `${oid} has ${size} bytes, not ${received}`);
}

/** A full disk has a status of its own in the LFS API. */
export function withStatus(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new LfsRequestError(507, 'the disk of the server is full');
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
