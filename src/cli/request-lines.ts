// A request of a command whose answer is a stream of JSON objects, one a line.
import { parseJson, type HttpAnswer } from './request-json.ts';
import { requestStream } from './request-stream.ts';

/** A request. */
export interface LinesRequest {
  readonly url: string;
  /** Sent as JSON. */
  readonly body: unknown;
  /** Until the answer begins, and of silence in it. */
  readonly timeoutMs: number;
  /** Called with each object. */
  readonly onLine: (value: Record<string, unknown>) => void;
  readonly signal: AbortSignal;
}

/** Posts; for the rest see `requestStream`. */
export function requestLines({ onLine, ...rest }: LinesRequest): Promise<HttpAnswer | undefined> {
  return requestStream({
    ...rest,
    method: 'POST',
    contentType: 'application/x-ndjson',
    onLine(line) {
      const value = parseJson(line);
      if (typeof value === 'object' && value !== null) onLine({ ...value });
    },
  });
}
