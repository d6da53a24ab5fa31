// SHA-256 of a file, in slices: the event loop does something else between them.
import { createHash } from 'node:crypto';
import { read as readCallback } from 'node:fs';
import { promisify } from 'node:util';

/** Reads from an open file at a position; resolves with `bytesRead`. */
export const readAt: typeof readCallback.__promisify__ = promisify(readCallback);

/** Bytes that are hashed at once: well below a millisecond. */
export const HASH_SLICE_BYTES: number = 256 * 1024;

/** The hash of the first `size` bytes of an open file as an oid; '' when it is shorter. Rejects with Node's errors. */
export async function hashFile(fd: number, size: number, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const slice = Buffer.allocUnsafe(Math.min(size, HASH_SLICE_BYTES));
  for (let done = 0; done < size;) {
    signal?.throwIfAborted();
    const { bytesRead } = await readAt(fd, slice, 0, Math.min(slice.length, size - done), done);
    if (bytesRead === 0) return '';
    hash.update(slice.subarray(0, bytesRead));
    done += bytesRead;
  }
  return hash.digest('hex');
}
