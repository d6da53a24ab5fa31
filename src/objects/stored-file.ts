// The files that count against the store's limit, by the ids under which they are noted.
import { arrivingFilePath, largeFilePath } from '../util/large-file-paths.ts';
import type { ObjectId } from '../util/types.ts';

/** Digits of a blob's id, and of a large file's. */
const BLOB_DIGITS = 40;
const LARGE_DIGITS = 64;
/** Tells what has arrived of a large file from the complete one. */
const ARRIVING_SUFFIX = '00';

/** The id under which that of a large file is noted which has arrived so far. */
export function arrivingId(oid: string): string {
  return oid + ARRIVING_SUFFIX;
}

/** Whether an id is that of a large file, complete or not. */
export function isLargeFileId(id: string): boolean {
  return id.length >= LARGE_DIGITS;
}

/** Whether it is what has arrived so far of a large file. */
export function isArrivingId(id: string): boolean {
  return id.length > LARGE_DIGITS;
}

/** Path of a file of the store in `directory`. Throws TypeError for what is no id. */
export function storedFilePath(directory: string, id: ObjectId): string {
  if (!/^[0-9a-f]+$/u.test(id) || id.length < BLOB_DIGITS) {
    throw new TypeError(`not the id of a stored file: ${JSON.stringify(id)}`);
  }
  if (id.length === BLOB_DIGITS) return `${directory}/objects/${id.slice(0, 2)}/${id.slice(2)}`;
  if (id.length === LARGE_DIGITS) return largeFilePath(directory, id);
  return `${arrivingFilePath(directory, id.slice(0, LARGE_DIGITS))}/data`;
}
