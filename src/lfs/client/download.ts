// One attempt to download an object, or a range of it, with everything checked that the answer says of itself.
import { contentLengthOf, headerOf } from '../../util/http-headers.ts';
import { linkAbort } from '../../util/abort-link.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsObject } from '../lfs-object.ts';
import { actionRequest } from './action-request.ts';
import { abortedError, connectionError, detailOf, statusFailure, wrongAnswer } from './failures.ts';
import type { LfsApi } from './lfs-api.ts';
import { whatIsAsked } from './lfs-http.ts';
import type { HttpAnswer, LfsHttp } from './lfs-http.ts';
import type { DownloadBody, TransferAction } from './lfs-client.ts';

const DETAIL_MAX_BYTES = 16 * 1024;

/** Which bytes: from `start` up to and including `end`; without, to the object's end. */
export interface DownloadRange {
  readonly start: number;
  readonly end?: number | undefined;
}

/** What a download needs. */
export interface DownloadParts {
  readonly http: LfsHttp;
  readonly api: LfsApi;
  readonly object: LfsObject;
  readonly action: TransferAction;
  readonly range: DownloadRange;
  readonly signal: AbortSignal | undefined;
}

/** Where the body begins, and how many bytes it must have. */
interface Extent {
  readonly start: number;
  readonly length: number;
}

/** The extent of a 206. Throws LfsError when it is not what was asked for, or of another object. */
function partialExtent(answer: HttpAnswer, object: LfsObject, range: DownloadRange, what: string): Extent {
  const text = headerOf(answer.headers, 'content-range') ?? '';
  const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/u.exec(text.trim()) ?? [];
  if (first === undefined || last === undefined) {
    throw wrongAnswer(`its Content-Range is ${JSON.stringify(text)}`, what);
  }
  const start = Number(first);
  const end = Number(last);
  if (total !== '*' && Number(total) !== object.size) {
    throw wrongAnswer(`it is about an object of ${total} bytes, not of ${object.size}`, what);
  }
  const wantedEnd = Math.min(range.end ?? object.size - 1, object.size - 1);
  if (start !== range.start || end < start || end > wantedEnd) {
    throw wrongAnswer(`it has the bytes ${start} to ${end}, not ${range.start} to ${wantedEnd}`, what);
  }
  return { start, length: end - start + 1 };
}

function extentOf(answer: HttpAnswer, parts: DownloadParts, what: string): Extent {
  const { object, range } = parts;
  const encoding = headerOf(answer.headers, 'content-encoding') ?? 'identity';
  if (encoding !== 'identity')
    throw wrongAnswer(`it is encoded as ${encoding}, which was not asked for`, what);
  const isPartial = answer.status === 206;
  const extent = isPartial ? partialExtent(answer, object, range, what) : { start: 0, length: object.size };
  const announced = contentLengthOf(answer.headers);
  if (announced !== undefined && announced !== extent.length) {
    throw wrongAnswer(`it has ${announced} bytes, not ${extent.length}`, what);
  }
  return extent;
}

async function failureOf(answer: HttpAnswer, what: string): Promise<LfsError> {
  let detail = '';
  try {
    const body = await readAtMost(answer.body, DETAIL_MAX_BYTES);
    detail = detailOf(body?.toString('utf8') ?? '', answer.headers);
  } catch {
    // The status says enough.
  }
  return statusFailure(answer.status, answer.headers, detail, what);
}

/** Asks for the bytes. Resolves when the head of the answer is there and makes sense. Rejects with LfsError. */
export async function startDownload(parts: DownloadParts): Promise<DownloadBody> {
  const { http, api, object, action, range, signal } = parts;
  if (action.expiresAtMs !== undefined && action.expiresAtMs <= Date.now()) {
    throw new LfsError('refused', `the LFS server's leave to download ${object.oid} has expired`);
  }
  const { start, end } = range;
  const isWhole = start === 0 && end === undefined;
  const asked = actionRequest('GET', action, isWhole ? {} : { range: `bytes=${start}-${end ?? ''}` });
  const what = whatIsAsked(asked);
  const link = linkAbort(signal, http.closing);
  let answer: HttpAnswer | undefined;
  try {
    answer = await api.send(asked, link.signal);
    if (answer.status !== 200 && answer.status !== 206) throw await failureOf(answer, what);
    const extent = extentOf(answer, parts, what);
    return bodyOf(answer, extent, { what, signal: link.signal, unlink: () => link.unlink(), http });
  } catch (error) {
    answer?.body.destroy();
    link.unlink();
    throw error;
  }
}

function bodyOf(
  { body }: HttpAnswer,
  extent: Extent,
  context: {
    readonly what: string;
    readonly signal: AbortSignal;
    readonly unlink: () => void;
    readonly http: LfsHttp;
  },
): DownloadBody {
  const { what, signal, unlink, http } = context;
  let isCancelled = false;
  function cancel(): void {
    isCancelled = true;
    unlink();
    body.destroy();
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let received = 0;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        received += chunk.byteLength;
        if (received > extent.length) throw wrongAnswer(`it has more than ${extent.length} bytes`, what);
        if (isCancelled) return;
        yield chunk;
      }
      if (!isCancelled && received < extent.length) {
        throw new LfsError(
          'unreachable',
          `the LFS server sent ${received} bytes instead of ${extent.length} (${what})`,
        );
      }
    } catch (error) {
      if (isCancelled) return;
      if (signal.aborted) throw abortedError(signal, what);
      throw connectionError(error, what, http.limits);
    } finally {
      unlink();
      body.destroy();
    }
  }
  return { start: extent.start, chunks: chunks(), cancel };
}
