// Reads the framing of `git cat-file --batch` while it streams.
import { isObjectId } from '../../util/git-hash.ts';
import type { Awaitable, ObjectId } from '../../util/types.ts';
import { badAnswer } from './attempt-error.ts';

/** Takes the parts of a batch in their order; each call is awaited. */
export interface BatchVisitor {
  /** The server does not have this one. */
  missing(id: ObjectId): Awaitable<void>;
  /** A blob of `size` bytes begins. */
  begin(id: ObjectId, size: number): Awaitable<void>;
  /** The next bytes of the blob that began last. */
  write(chunk: Uint8Array): Awaitable<void>;
  /** All bytes of that blob were given. */
  end(): Awaitable<void>;
}

/** No header is longer: an id, a word, a number. */
const HEADER_MAX_BYTES = 80;

const LINE_FEED = 0x0a;

/** Reads a whole batch. Throws an AttemptError when the framing is wrong or the body ends inside a record. */
export async function readBatch(body: AsyncIterable<Uint8Array>, visitor: BatchVisitor): Promise<void> {
  let header = '';
  /** Bytes of the blob that are still to come, and one for the line feed after it; 0 between records. */
  let left = 0;

  async function readHeader(line: string): Promise<void> {
    const [id, word, size, ...more] = line.split(' ');
    if (!isObjectId(id) || more.length > 0) throw badAnswer('a header of the batch is malformed');
    if (word === 'missing' && size === undefined) {
      await visitor.missing(id);
      return;
    }
    if (word !== 'blob' || size === undefined || !/^\d{1,15}$/.test(size)) {
      throw badAnswer('a header of the batch is malformed');
    }
    left = Number(size) + 1;
    await visitor.begin(id, Number(size));
  }

  async function readContent(chunk: Uint8Array): Promise<void> {
    const content = chunk.subarray(0, Math.min(chunk.byteLength, left - 1));
    if (content.byteLength > 0) await visitor.write(content);
    left -= content.byteLength;
    if (chunk.byteLength === content.byteLength) return;
    if (chunk[content.byteLength] !== LINE_FEED)
      throw badAnswer('a blob of the batch is longer than announced');
    left = 0;
    await visitor.end();
  }

  for await (const chunk of body) {
    for (let at = 0; at < chunk.byteLength;) {
      if (left > 0) {
        const end = Math.min(chunk.byteLength, at + left);
        await readContent(chunk.subarray(at, end));
        at = end;
        continue;
      }
      const lineEnd = chunk.indexOf(LINE_FEED, at);
      const end = lineEnd < 0 ? chunk.byteLength : lineEnd;
      header += Buffer.from(chunk.buffer, chunk.byteOffset + at, end - at).toString('latin1');
      if (header.length > HEADER_MAX_BYTES) throw badAnswer('a header of the batch is malformed');
      at = end + 1;
      if (lineEnd < 0) continue;
      const line = header;
      header = '';
      await readHeader(line);
    }
  }
  if (left > 0 || header !== '') throw badAnswer('the batch ends in the middle of a record');
}
