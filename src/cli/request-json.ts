// One HTTP request of a command, with a deadline, and its failures in words.
import { request } from 'undici';
import { describeError } from '../util/system-error.ts';

/** A request. */
export interface JsonRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** For the whole exchange. */
  readonly timeoutMs: number;
}

/** An answer, of whatever status. */
export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** There was no answer; `reason` says why without knowing more, the message is for users. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly reason: 'refused' | 'timeout' | 'other';

  constructor(reason: TransportError['reason'], message: string, cause: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}

function explain(error: unknown, { url, timeoutMs }: JsonRequest): TransportError {
  const { code, name } = error as NodeJS.ErrnoException;
  const host = URL.canParse(url) ? new URL(url).host : url;
  if (code === 'ECONNREFUSED') {
    return new TransportError('refused', `connection refused, nothing listens at ${host}`, error);
  }
  if (name === 'TimeoutError' || code?.endsWith('_TIMEOUT') === true || code === 'ETIMEDOUT') {
    return new TransportError('timeout', `no answer from ${host} within ${timeoutMs / 1000} s`, error);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new TransportError('other', `the host of ${url} is not known`, error);
  }
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET') {
    return new TransportError('other', `${host} closed the connection without an answer`, error);
  }
  return new TransportError('other', describeError(error), error);
}

/** Sends a request on a connection of its own. Rejects with TransportError when there is no whole answer in time. */
export async function requestJson(options: JsonRequest): Promise<HttpAnswer> {
  const { method, url, body, timeoutMs } = options;
  try {
    const response = await request(url, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
      // A kept connection would keep the process from ending.
      reset: true,
    });
    return { status: response.statusCode, text: await response.body.text() };
  } catch (error) {
    throw explain(error, options);
  }
}

/** The value of a JSON text, or undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
