// Ids of Git objects: SHA-1 over a header and the content.
import { createHash } from 'node:crypto';
import type { ObjectId } from './types.ts';

/** The kinds of objects that Git has. */
export type GitObjectType = 'blob' | 'tree' | 'commit' | 'tag';

/** Id of the blob without content. */
export const EMPTY_BLOB_ID: ObjectId = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391';

/** Id of the tree without entries. */
export const EMPTY_TREE_ID: ObjectId = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

/** Computes the id of an object whose content arrives in pieces. */
export interface ObjectHasher {
  /** The next bytes of the content. */
  update(chunk: Uint8Array): void;
  /** Bytes that `update` got so far. */
  readonly received: number;
  /** The id; to be called once, after all `size` bytes. It is no valid id when `received` is another number. */
  digest(): ObjectId;
}

/** The id of an object with this payload (the content without the header). */
export function hashObject(type: GitObjectType, payload: Uint8Array): ObjectId {
  return createHash('sha1').update(`${type} ${payload.byteLength}\0`).update(payload).digest('hex');
}

/** A hasher for an object of `size` bytes: Git's header names the size, so it must be known in advance. */
export function createObjectHasher(type: GitObjectType, size: number): ObjectHasher {
  const hash = createHash('sha1').update(`${type} ${size}\0`);
  let received = 0;
  return {
    update(chunk) {
      received += chunk.byteLength;
      hash.update(chunk);
    },
    get received() {
      return received;
    },
    digest: () => hash.digest('hex'),
  };
}

/** Whether a text is an object id: 40 lower-case hexadecimal digits. */
export function isObjectId(text: unknown): text is ObjectId {
  return typeof text === 'string' && /^[0-9a-f]{40}$/.test(text);
}
