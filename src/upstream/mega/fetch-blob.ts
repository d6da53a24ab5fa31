// One blob, streamed, resumed where that is possible, and verified.
import { EMPTY_BLOB_ID } from '../../util/git-hash.ts';
import { headerOf } from '../../util/http-headers.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import type { ObjectHasher } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { BlobSink, UpstreamRequest } from '../upstream.ts';
import { apiPath } from './api-path.ts';
import { AttemptError, badAnswer } from './attempt-error.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import type { MegaAnswer, MegaHttp } from './mega-http.ts';
import { createSinkHasher } from './sink-hasher.ts';

/** A blob whose length the server does not announce is kept in memory up to this; the id hashes the length first. */
const UNANNOUNCED_MAX_BYTES = 8 * 1024 * 1024;

/** A failed attempt that brought this much more than any before lets the count of failures start again. */
const PROGRESS_BYTES = 64 * 1024;

/** The blob is too long to be kept in memory until its length is known. */
class LengthNeeded extends Error {}

/** Length of a blob by HEAD; undefined when the server does not tell. Rejects with kind `not-found`. */
export function headBlobSize(
  http: MegaHttp,
  id: ObjectId,
  request: UpstreamRequest | undefined,
): Promise<number | undefined> {
  return http.read(
    { method: 'HEAD', path: apiPath(`/file/blob/${id}`) },
    ({ headers }) => {
      const length = headerOf(headers, 'content-length');
      return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
    },
    request,
  );
}

/** The state of one blob over all its attempts. */
interface Transfer {
  readonly id: ObjectId;
  readonly sink: BlobSink;
  size: number | undefined;
  hasher: ObjectHasher | undefined;
  /** The most bytes that any attempt reached. */
  highWater: number;
  /** `highWater` when failures last counted from zero. */
  mark: number;
}

async function begin(transfer: Transfer, size: number): Promise<ObjectHasher> {
  transfer.size = size;
  await transfer.sink.begin(size);
  transfer.hasher = createSinkHasher(size, transfer.sink);
  return transfer.hasher;
}

/** Forgets what arrived: the next attempt asks for everything. */
function corrupt(transfer: Transfer, reason: string): AttemptError {
  transfer.hasher = undefined;
  return badAnswer(reason, 'corrupt');
}

function verify(transfer: Transfer, hasher: ObjectHasher): void {
  if (hasher.digest() !== transfer.id) throw corrupt(transfer, `its bytes do not hash to ${transfer.id}`);
}

/** Checks that a partial answer continues where the last attempt ended. */
function checkRange(transfer: Transfer, answer: MegaAnswer): ObjectHasher {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headerOf(answer.headers, 'content-range') ?? '');
  const { hasher, size } = transfer;
  if (hasher === undefined || size === undefined || range === null)
    throw corrupt(transfer, 'it is not the part asked for');
  const [, from, to, total] = range.map(Number);
  if (from !== hasher.received || to !== size - 1 || total !== size)
    throw corrupt(transfer, 'it is not the part asked for');
  return hasher;
}

async function receiveUnannounced(transfer: Transfer, answer: MegaAnswer): Promise<void> {
  const whole = await readAtMost(answer.body, UNANNOUNCED_MAX_BYTES);
  if (whole === undefined) throw new LengthNeeded();
  const hasher = await begin(transfer, whole.length);
  hasher.update(whole);
  if (whole.length > 0) await transfer.sink.write(whole);
  verify(transfer, hasher);
}

async function receive(
  transfer: Transfer,
  answer: MegaAnswer,
  learnedSize: number | undefined,
): Promise<void> {
  if (answer.status === 416) throw corrupt(transfer, 'it is shorter than before');
  let hasher: ObjectHasher;
  if (answer.status === 206) {
    hasher = checkRange(transfer, answer);
  } else {
    const size = answer.contentLength ?? learnedSize;
    if (size === undefined) return receiveUnannounced(transfer, answer);
    hasher = await begin(transfer, size);
  }
  const size = transfer.size ?? 0;
  for await (const chunk of answer.body) {
    if (hasher.received + chunk.byteLength > size) throw corrupt(transfer, 'it is longer than announced');
    hasher.update(chunk);
    transfer.highWater = Math.max(transfer.highWater, hasher.received);
    await transfer.sink.write(chunk);
  }
  if (hasher.received < size) {
    throw new AttemptError(
      'unreachable',
      'always',
      `the answer ended after ${hasher.received} of ${size} bytes`,
    );
  }
  verify(transfer, hasher);
}

/** `fetchBlob` of the contract. */
export async function fetchBlob(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  id: ObjectId,
  sink: BlobSink,
  request: UpstreamRequest | undefined,
): Promise<void> {
  if (id === EMPTY_BLOB_ID) {
    await sink.begin(0);
    return;
  }
  const transfer: Transfer = { id, sink, size: undefined, hasher: undefined, highWater: 0, mark: 0 };
  const path = apiPath(`/file/blob/${id}`);
  const run = (learnedSize: number | undefined): Promise<void> =>
    http.stream(
      {
        async request() {
          const received = transfer.hasher?.received ?? 0;
          if (received === 0 || received === transfer.size) return { method: 'GET', path };
          if (!(await capabilities.has('blob-range', request))) return { method: 'GET', path };
          return { method: 'GET', path, headers: { range: `bytes=${received}-` } };
        },
        handle: (answer) => receive(transfer, answer, learnedSize),
        accept: [416],
        progressed() {
          if (transfer.highWater - transfer.mark < PROGRESS_BYTES) return false;
          transfer.mark = transfer.highWater;
          return true;
        },
      },
      request,
    );
  try {
    await run(undefined);
  } catch (error) {
    if (!(error instanceof LengthNeeded)) throw error;
    const size = await headBlobSize(http, id, request);
    if (size === undefined) {
      const text = `the server at ${http.url} does not tell the length of the large blob ${id}, so it cannot be verified`;
      throw new UpstreamError('server', text, { cause: error });
    }
    await run(size);
  }
}
