// What the LFS server, or the way to it, failed with: from statuses and broken connections to LfsError.
import { connectionFailure } from '../../util/connection-failure.ts';
import { headerOf, retryAfterMs } from '../../util/http-headers.ts';
import type { AnswerHeaders } from '../../util/http-headers.ts';
import { withoutTrailingSlashes } from '../../util/slashes.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsErrorKind } from '../lfs-error.ts';

const DETAIL_MAX_CHARACTERS = 300;

/** A URL without credentials and query, which may hold a signature: for messages. */
export function shownUrl(url: URL): string {
  return url.origin + withoutTrailingSlashes(url.pathname);
}

/** The kind of failure that a status of the server, or an error code in a batch answer, stands for. */
export function kindOfStatus(status: number): LfsErrorKind {
  if (status === 401 || status === 403) return 'refused';
  if (status === 404 || status === 410) return 'missing';
  if (status === 409) return 'conflict';
  if (status === 413 || status === 507 || status === 509) return 'quota';
  if (status === 400 || status === 422) return 'invalid';
  return 'server';
}

/** What the body of an answer says: the message of LFS, else the first line of plain text. */
export function detailOf(body: string, headers: AnswerHeaders): string {
  const text = body.trim();
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return message.slice(0, DETAIL_MAX_CHARACTERS);
  } catch {
    // Not JSON: text from a proxy, or from the router.
  }
  if (!(headerOf(headers, 'content-type') ?? '').startsWith('text/plain')) return '';
  return (text.split('\n', 1)[0] ?? '').slice(0, DETAIL_MAX_CHARACTERS);
}

/** The failure that an answer's status stands for. `what` is what was asked, with the URL. */
export function statusFailure(
  status: number,
  headers: AnswerHeaders,
  detail: string,
  what: string,
): LfsError {
  const text = `the LFS server answered ${status}${detail === '' ? '' : `: ${detail}`} (${what})`;
  return new LfsError(kindOfStatus(status), text, { status, retryAfterMs: retryAfterMs(headers) });
}

/** The server answered something that cannot be right. */
export function wrongAnswer(reason: string, what: string): LfsError {
  return new LfsError('server', `the LFS server's answer is wrong: ${reason} (${what})`);
}

/** Limits that a request ran into. Milliseconds. */
export interface TimeLimits {
  readonly connectTimeoutMs: number;
  readonly silenceTimeoutMs: number;
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** The failure of a connection (an error that undici or the system threw). */
export function connectionError(thrown: unknown, what: string, limits: TimeLimits): LfsError {
  if (thrown instanceof LfsError) return thrown;
  const { code, reason } = connectionFailure(thrown);
  const fail = (kind: LfsErrorKind, text: string): LfsError =>
    new LfsError(kind, `${text} (${what})`, { cause: thrown });
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
      return fail('timeout', `the LFS server took no connection within ${seconds(limits.connectTimeoutMs)}`);
    case 'UND_ERR_HEADERS_TIMEOUT':
      return fail('timeout', `the LFS server did not answer within ${seconds(limits.silenceTimeoutMs)}`);
    case 'UND_ERR_BODY_TIMEOUT':
      return fail('timeout', `the LFS server fell silent for ${seconds(limits.silenceTimeoutMs)}`);
    case 'UND_ERR_INVALID_ARG':
      // A header that a link, the token or Git's configuration asks for. The message names it, not its value.
      return fail('invalid', `the request cannot be sent: ${reason}`);
  }
  if (code.startsWith('HPE_')) return fail('server', 'the LFS server does not speak HTTP');
  // Another attempt would find the same certificate.
  if (/CERT|^ERR_TLS|^UNABLE_TO_/u.test(code)) {
    return fail('refused', `the certificate of the LFS server cannot be trusted: ${reason}`);
  }
  return fail('unreachable', `the connection to the LFS server failed: ${reason}`);
}

/** The caller gave up, or the client is being closed. */
export function abortedError(signal: AbortSignal, what: string): LfsError {
  if (signal.reason instanceof LfsError) return signal.reason;
  return new LfsError('aborted', `the caller gave up (${what})`, { cause: signal.reason });
}

/** Whether another attempt could help: as often as allowed; once, since who is wrong twice stays wrong; or not. */
export function repeatRule(error: LfsError): 'always' | 'once' | 'never' {
  if (error.kind === 'unreachable') return 'always';
  const { status } = error;
  if (status === undefined) return error.kind === 'server' ? 'once' : 'never';
  const isPassing = [408, 423, 429].includes(status) || (status >= 500 && status < 600);
  // Not implemented, another version of HTTP, no room, no bandwidth left: that stays so.
  return isPassing && ![501, 505, 507, 509].includes(status) ? 'always' : 'never';
}
