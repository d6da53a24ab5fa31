// Repositories of large files (Git LFS): pointers in Git, the objects where the embedded server has them.
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { noise, importFiles } from './repositories.mjs';

const PIECE_BYTES = 1024 * 1024;
const ATTRIBUTES = '*.bin filter=lfs diff=lfs merge=lfs -text\n';

const objectPath = (directory, oid) =>
  join(directory, 'lfs', 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);

/** Writes `size` bytes that nobody else has; returns their oid. */
function writeObject(directory, size, seed) {
  mkdirSync(join(directory, 'lfs'), { recursive: true });
  const temporary = join(directory, 'lfs', 'new');
  const piece = noise(PIECE_BYTES);
  piece.writeUInt32LE(seed, 4);
  const hash = createHash('sha256');
  const file = openSync(temporary, 'w');
  for (let at = 0; at < size; at += PIECE_BYTES) {
    // No two pieces alike.
    piece.writeUInt32LE(at / PIECE_BYTES, 0);
    const part = piece.subarray(0, Math.min(PIECE_BYTES, size - at));
    hash.update(part);
    writeSync(file, part);
  }
  closeSync(file);
  const oid = hash.digest('hex');
  mkdirSync(dirname(objectPath(directory, oid)), { recursive: true });
  renameSync(temporary, objectPath(directory, oid));
  return oid;
}

/** Nothing but a length: the server does not hash what it sends. Returns a name for it, which is not its hash. */
function writeSparseObject(directory, size) {
  const oid = createHash('sha256').update(`sparse ${size}`).digest('hex');
  mkdirSync(dirname(objectPath(directory, oid)), { recursive: true });
  const file = openSync(objectPath(directory, oid), 'w');
  ftruncateSync(file, size);
  closeSync(file);
  return oid;
}

/** A repository of `count` large files of `size` bytes; `isSparse`: without content, which then is not what its name says. */
export async function makeLargeFiles(directory, { count, size, isSparse = false }) {
  const files = Array.from({ length: count }, (_, index) => {
    const oid = isSparse ? writeSparseObject(directory, size) : writeObject(directory, size, index);
    return { path: `file-${String(index).padStart(3, '0')}.bin`, oid };
  });
  const pointers = files.map(({ path, oid }) => [
    path,
    `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`,
  ]);
  await importFiles(directory, [['.gitattributes', ATTRIBUTES], ...pointers]);
  return { directory, size, files, paths: files.map(({ path }) => path) };
}
