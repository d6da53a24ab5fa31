// Many blobs as one body, in the framing of `git cat-file --batch`.
import { SMALL_BLOB_BYTES } from './limits.ts';
import { GitError } from '../git/git-error.ts';
import type { GitObjects } from '../git/git-objects.ts';
import type { ObjectId } from '../util/types.ts';

const AHEAD_BYTES_MAX = 1024 * 1024;
const AHEAD_COUNT_MAX = 64;
const CHUNK_BYTES = 64 * 1024;

/** A blob to send, and its size in bytes; undefined when the repository does not have it. */
export interface WantedBlob {
  readonly id: ObjectId;
  readonly size: number | undefined;
}

function frameStart({ id, size }: WantedBlob): string {
  return size === undefined ? `${id} missing\n` : `${id} blob ${size}\n`;
}

/** Length of the whole body in bytes. */
export function framedLength(wanted: readonly WantedBlob[]): number {
  let length = 0;
  for (const blob of wanted) {
    length += frameStart(blob).length;
    if (blob.size !== undefined) length += blob.size + 1;
  }
  return length;
}

/**
 * The body in pieces: `<oid> blob <size>\n<bytes>\n` or `<oid> missing\n` for each. Small blobs are read ahead, within
 * bounds; a large one passes through. Fails with GitError; `signal` ends it at once.
 */
export async function* blobFrames(
  objects: GitObjects,
  wanted: readonly WantedBlob[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const ahead = new Map<number, Promise<Buffer | undefined>>();
  let aheadBytes = 0;
  let next = 0;
  const readAhead = () => {
    for (; next < wanted.length && ahead.size < AHEAD_COUNT_MAX && aheadBytes < AHEAD_BYTES_MAX; next++) {
      const { id, size } = wanted[next] as WantedBlob;
      if (size === undefined || size > SMALL_BLOB_BYTES) continue;
      const content = objects.read(id, 'blob', SMALL_BLOB_BYTES);
      // It is awaited in its turn; until then a failure is nobody's.
      content.catch(() => {});
      ahead.set(next, content);
      aheadBytes += size;
    }
  };
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  const add = (piece: Buffer) => {
    pieces.push(piece);
    pieceBytes += piece.length;
  };
  const take = () => {
    const taken = Buffer.concat(pieces);
    pieces = [];
    pieceBytes = 0;
    return taken;
  };
  for (const [index, blob] of wanted.entries()) {
    signal.throwIfAborted();
    readAhead();
    add(Buffer.from(frameStart(blob)));
    const { id, size } = blob;
    if (size === undefined) continue;
    const small = ahead.get(index);
    if (small === undefined) {
      yield take();
      yield* largeBlob(objects, id, size, signal);
    } else {
      const content = await small;
      ahead.delete(index);
      aheadBytes -= size;
      if (content?.length !== size) {
        objects.forgetSize(id);
        throw new GitError('missing', `blob ${id} vanished`);
      }
      add(content);
    }
    add(Buffer.from('\n'));
    if (pieceBytes >= CHUNK_BYTES) yield take();
  }
  if (pieceBytes > 0) yield take();
}

async function* largeBlob(
  objects: GitObjects,
  id: ObjectId,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const stream = await objects.stream(id, { start: 0, length: size });
  const stop = () => stream.destroy(new GitError('closed', 'the client went away'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) stop();
    yield* stream as AsyncIterable<Buffer>;
  } finally {
    signal.removeEventListener('abort', stop);
    stream.destroy();
  }
}
