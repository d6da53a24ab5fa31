// A request of a command whose answer is a stream of lines.
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { explainTransport, LateError, TransportError, type HttpAnswer } from './request-json.ts';

/** A request. */
export interface StreamRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of an answer that is a stream. */
  readonly contentType: string;
  /** Until the answer begins, and of silence in it. */
  readonly timeoutMs: number;
  /** Called with each line. */
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Asks. Resolves with undefined when the stream ended in order, or with an answer that was no stream. Rejects with
 * TransportError, also when the stream breaks off in a line, and when the signal aborts.
 */
export async function requestStream(options: StreamRequest): Promise<HttpAnswer | undefined> {
  const { method, url, body, contentType, timeoutMs, onLine, signal } = options;
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const outgoing = request(url, { method, headers, agent: false, signal, timeout: timeoutMs });
  let late: LateError | undefined;
  outgoing.on('timeout', () => {
    // Who reads the answer is only told that it was cut off.
    late = new LateError('late');
    outgoing.destroy(late);
  });
  let rest = '';
  try {
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const [incoming] = await answered;
    incoming.setEncoding('utf8');
    const isStream = incoming.headers['content-type'] === contentType;
    for await (const chunk of incoming as AsyncIterable<string>) {
      rest += chunk;
      if (!isStream) continue;
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    }
    if (!isStream) return { status: incoming.statusCode ?? 0, text: rest };
  } catch (error) {
    throw explainTransport(late ?? error, url, timeoutMs);
  }
  if (rest === '') return undefined;
  throw new TransportError('other', 'the answer breaks off', undefined);
}
