// A request of a command whose answer is a stream of server-sent events with JSON data.
import { parseJson, type HttpAnswer } from './request-json.ts';
import { requestStream } from './request-stream.ts';

/** A request. */
export interface EventsRequest {
  readonly url: string;
  /** Until the answer begins, and of silence in it. */
  readonly timeoutMs: number;
  /** Called with each event and what its data is. */
  readonly onEvent: (name: string, data: unknown) => void;
  readonly signal: AbortSignal;
}

/** Listens; for the rest see `requestStream`. An event that the connection cut in two is not told of. */
export function requestEvents({ onEvent, ...rest }: EventsRequest): Promise<HttpAnswer | undefined> {
  let name = 'message';
  let data: string[] = [];
  return requestStream({
    ...rest,
    method: 'GET',
    contentType: 'text/event-stream',
    onLine(line) {
      if (line === '') {
        if (data.length > 0) onEvent(name, parseJson(data.join('\n')));
        [name, data] = ['message', []];
        return;
      }
      const [, field, value = ''] = /^(event|data): ?(.*)$/su.exec(line) ?? [];
      if (field === 'event') name = value;
      else if (field === 'data') data.push(value);
    },
  });
}
