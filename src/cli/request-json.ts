// One HTTP request of a command, with a deadline, and its failures in words.
import type { request as httpRequest } from 'node:http';
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

/** Ends a request whose answer did not come in time. */
export class LateError extends Error {}

/** The failure of a request in words. */
export function explainTransport(error: unknown, url: string, timeoutMs: number): TransportError {
  const { code } = error as NodeJS.ErrnoException;
  const host = URL.canParse(url) ? new URL(url).host : url;
  if (code === 'ECONNREFUSED') {
    return new TransportError('refused', `connection refused, nothing listens at ${host}`, error);
  }
  if (error instanceof LateError || code === 'ETIMEDOUT') {
    return new TransportError('timeout', `no answer from ${host} within ${timeoutMs / 1000} s`, error);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new TransportError('other', `the host ${host} is not known`, error);
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return new TransportError('other', `${host} closed the connection without an answer`, error);
  }
  return new TransportError('other', describeError(error), error);
}

/** The error itself, or the first inside it: Node wraps the attempts for several addresses. */
function firstOf(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? firstOf(error.errors[0]) : error;
}

/**
 * Sends a request on a connection of its own. Rejects with TransportError when there is no whole answer in time. Over
 * node:http, since loading undici takes half of a command's start.
 */
export async function requestJson(options: JsonRequest): Promise<HttpAnswer> {
  try {
    const url = new URL(options.url);
    const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
    return await exchange(request, url, options);
  } catch (error) {
    throw explainTransport(firstOf(error), options.url, options.timeoutMs);
  }
}

function exchange(
  request: typeof httpRequest,
  url: URL,
  { method, body, timeoutMs }: JsonRequest,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const json = body === undefined ? undefined : JSON.stringify(body);
    // Of a DELETE, Node would send the body without saying how long it is.
    const headers =
      json === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
    // A kept connection would keep the process from ending.
    const outgoing = request(url, { method, headers, agent: false });
    const settle = (settled: () => void): void => {
      clearTimeout(timer);
      settled();
    };
    const timer = setTimeout(() => {
      reject(new LateError('late'));
      outgoing.destroy();
    }, timeoutMs);
    outgoing.on('error', (error) => settle(() => reject(error)));
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', (error) => settle(() => reject(error)));
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        settle(() => resolve({ status: incoming.statusCode ?? 0, text }));
      });
    });
    outgoing.end(json);
  });
}

/** The value of a JSON text, or undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
