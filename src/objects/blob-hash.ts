// Hashes the content of an open blob file.
import { read as readCallback } from 'node:fs';
import { promisify } from 'node:util';
import { createObjectHasher } from '../util/git-hash.ts';
import type { ObjectId } from '../util/types.ts';
import { readStart } from '../util/read-start.ts';

const read = promisify(readCallback);

const PIECE_BYTES = 1024 * 1024;

/** Id of the blob that the first `size` bytes of an open file are; of no blob at all when the file is shorter. */
export async function hashBlobFile(fd: number, size: number): Promise<ObjectId> {
  const hasher = createObjectHasher('blob', size);
  const piece = Buffer.allocUnsafe(Math.min(size, PIECE_BYTES));
  while (hasher.received < size) {
    const { bytesRead } = await read(fd, piece, 0, piece.length, hasher.received);
    if (bytesRead === 0) return '';
    hasher.update(piece.subarray(0, bytesRead));
  }
  return hasher.digest();
}

/** As hashBlobFile, for small files, without waiting. */
export function hashSmallBlobFile(fd: number, size: number): ObjectId {
  const content = readStart(fd, Buffer.allocUnsafe(size));
  if (content.length < size) return '';
  const hasher = createObjectHasher('blob', size);
  hasher.update(content);
  return hasher.digest();
}
