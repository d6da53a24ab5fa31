// The upload of one object: one attempt, in one request or from where the last attempt ended, and verified.
import { headerOf } from '../../util/http-headers.ts';
import { readAtMost } from '../../util/read-at-most.ts';
import { LfsError } from '../lfs-error.ts';
import { actionRequest } from './action-request.ts';
import { detailOf, statusFailure, wrongAnswer } from './failures.ts';
import type { LfsApi } from './lfs-api.ts';
import type { TransferAction, UploadSource } from './lfs-client.ts';
import type { HttpAnswer, HttpAsked } from './lfs-http.ts';
import { whatIsAsked } from './lfs-http.ts';
import { createUploadBody } from './upload-body.ts';
import type { UploadBody } from './upload-body.ts';

const DETAIL_MAX_BYTES = 16 * 1024;

/** What is uploaded, where to, and how. */
export interface ObjectUpload {
  readonly api: LfsApi;
  readonly source: UploadSource;
  /** `basic` or `tus`. */
  readonly transfer: string;
  readonly upload: TransferAction | undefined;
  readonly verify: TransferAction | undefined;
}

/** Reads an answer to its end, so that the connection can be used again. Rejects unless the status is one of 200 to 299. */
async function finish(answer: HttpAnswer, what: string): Promise<void> {
  let text = '';
  try {
    text = (await readAtMost(answer.body, DETAIL_MAX_BYTES))?.toString('utf8') ?? '';
  } catch {
    // The status says enough.
  } finally {
    answer.body.destroy();
  }
  if (answer.status >= 200 && answer.status <= 299) return;
  throw statusFailure(answer.status, answer.headers, detailOf(text, answer.headers), what);
}

/** Sends the bytes from an offset on. */
async function sendBytes(
  { api, source }: ObjectUpload,
  asked: HttpAsked,
  from: number,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let body: UploadBody | undefined;
  const withBody: HttpAsked = {
    ...asked,
    headers: { ...asked.headers, 'content-length': String(source.size - from) },
    body: () => {
      // Asked for again after a redirect, or with credentials.
      if (body !== undefined) onBytes(-body.sent);
      body = createUploadBody(source, from, onBytes);
      return body.chunks;
    },
  };
  try {
    await finish(await api.send(withBody, signal), whatIsAsked(asked));
  } catch (error) {
    const failure = body?.failure;
    if (body !== undefined) onBytes(-body.sent);
    throw failure ?? error;
  }
}

/** The offset from which a server of the tus protocol (1.0.0) wants the rest. */
async function tusOffset(
  { api, source }: ObjectUpload,
  upload: TransferAction,
  signal: AbortSignal,
): Promise<number> {
  const asked = actionRequest('HEAD', upload, { 'tus-resumable': '1.0.0' });
  const answer = await api.send(asked, signal);
  await finish(answer, whatIsAsked(asked));
  const text = headerOf(answer.headers, 'upload-offset') ?? '';
  const offset = /^\d{1,15}$/u.test(text) ? Number(text) : Number.NaN;
  if (!(offset <= source.size)) {
    throw wrongAnswer(`its Upload-Offset is ${JSON.stringify(text)}`, whatIsAsked(asked));
  }
  return offset;
}

async function sendResumably(
  parts: ObjectUpload,
  upload: TransferAction,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const offset = await tusOffset(parts, upload, signal);
  onBytes(offset);
  try {
    if (offset === parts.source.size && offset > 0) return;
    const asked = actionRequest('PATCH', upload, {
      'tus-resumable': '1.0.0',
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    });
    await sendBytes(parts, asked, offset, onBytes, signal);
  } catch (error) {
    onBytes(-offset);
    // Somebody else went on with it meanwhile: worth asking again how far it has come.
    const hasMoved = error instanceof LfsError && error.status === 409;
    throw hasMoved ? new LfsError('server', error.message, { cause: error }) : error;
  }
}

/** One attempt. Rejects with LfsError; `onBytes` has then taken back what it counted. */
export async function transferObject(
  parts: ObjectUpload,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { api, source, upload, verify } = parts;
  for (const action of [upload, verify]) {
    if (action?.expiresAtMs !== undefined && action.expiresAtMs <= Date.now()) {
      const text = `the LFS server's leave to upload ${source.path} has expired`;
      throw new LfsError('refused', text, { status: 403 });
    }
  }
  if (upload !== undefined) {
    if (parts.transfer === 'tus') {
      await sendResumably(parts, upload, onBytes, signal);
    } else {
      // The type may be the action's own choice: a presigned URL covers it.
      const names = Object.keys(upload.header).map((name) => name.toLowerCase());
      const type = names.includes('content-type') ? {} : { 'content-type': 'application/octet-stream' };
      await sendBytes(parts, actionRequest('PUT', upload, type), 0, onBytes, signal);
    }
  }
  if (verify !== undefined) {
    const { url, ownHeaders } = actionRequest('POST', verify, {});
    const json = { oid: source.oid, size: source.size };
    await api.ask({ method: 'POST', url, json, headers: ownHeaders ?? {} }, [], () => undefined, signal);
  }
}
