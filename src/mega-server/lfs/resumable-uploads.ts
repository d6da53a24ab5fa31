// Uploads that go on where they broke off, also after a restart of the server: the core of the tus protocol 1.0.
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { tryLockFile } from '../../util/file-lock.ts';
import { LfsRequestError } from './lfs-answer.ts';
import { checkHash, type LfsObjectStore, withStatus, writeAll } from './object-store.ts';

const SUFFIX = '.part';
/** What nobody went on with for so long is removed when a server starts. */
const PART_AGE_MS = 7 * 24 * 60 * 60 * 1000;

/** Parts of objects, beside the store's other uploads. */
export class ResumableUploads {
  readonly #store: LfsObjectStore;

  constructor(store: LfsObjectStore) {
    this.#store = store;
  }

  /** How many bytes of an object are here: where the client goes on. */
  async offset(object: LfsObject): Promise<number> {
    if ((await this.#store.size(object.oid)) === object.size) return object.size;
    const found = await stat(this.#path(object)).catch(() => undefined);
    return found?.size ?? 0;
  }

  /**
   * Adds what comes to the part, which becomes the object when it is complete and its hash is right. Resolves with the
   * new offset. What has come stays when the connection breaks. Rejects with LfsRequestError: 409 when the part ends
   * elsewhere, 423 while another request adds to it, 422 for other content (the part is then gone), 507.
   */
  async append(object: LfsObject, offset: number, content: AsyncIterable<Uint8Array>): Promise<number> {
    await mkdir(this.#store.incoming, { recursive: true });
    const path = this.#path(object);
    const held = tryLockFile(path);
    if (held === undefined)
      throw new LfsRequestError(423, `${object.oid} is being uploaded by somebody else`);
    try {
      // By its name: between the lock's open and the lock another server may have made it the object.
      const part = await open(path, 'r+');
      let end: number;
      try {
        end = await appendTo(part, object, offset, content);
      } finally {
        await part.close();
      }
      if (end === object.size) await this.#store.publish(object.oid, path);
      return end;
    } catch (error) {
      const told = withStatus(error);
      const isUseless = told instanceof LfsRequestError && (told.status === 422 || told.status === 507);
      if (isUseless) await rm(path, { force: true });
      throw told;
    } finally {
      held.release();
    }
  }

  /** Removes parts that were given up long ago. */
  async clean(): Promise<void> {
    const { incoming } = this.#store;
    for (const name of await readdir(incoming).catch(() => [])) {
      if (!name.endsWith(SUFFIX)) continue;
      const found = await stat(join(incoming, name)).catch(() => undefined);
      if (found === undefined || Date.now() - found.mtimeMs < PART_AGE_MS) continue;
      await rm(join(incoming, name), { force: true });
    }
  }

  #path({ oid, size }: LfsObject): string {
    return join(this.#store.incoming, `${oid}.${size}${SUFFIX}`);
  }
}

async function appendTo(
  part: FileHandle,
  { oid, size }: LfsObject,
  offset: number,
  content: AsyncIterable<Uint8Array>,
): Promise<number> {
  const there = (await part.stat()).size;
  if (there !== offset) throw new LfsRequestError(409, `the upload goes on at ${there}, not at ${offset}`);
  const hash = createHash('sha256');
  for await (const chunk of part.createReadStream({ start: 0, autoClose: false }))
    hash.update(chunk as Buffer);
  let end = offset;
  for await (const chunk of content) {
    if (end + chunk.length > size) throw new LfsRequestError(422, `${oid} has ${size} bytes, not more`);
    hash.update(chunk);
    await writeAll(part, chunk, end);
    end += chunk.length;
  }
  if (end < size) return end;
  checkHash(oid, hash.digest('hex'));
  await part.datasync();
  return end;
}
