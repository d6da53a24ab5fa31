// Server-sent events from the daemon, however they arrive.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { requestEvents } from '../../../src/cli/request-events.ts';

/** Has a server answer with pieces; the events that came, and how it ended. */
async function ask(pieces: readonly string[], type = 'text/event-stream', status = 200) {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': type });
    const rest = [...pieces];
    const next = (): void => {
      const piece = rest.shift();
      if (piece === undefined) response.end();
      else response.write(piece, () => setTimeout(next, 5));
    };
    next();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const events: unknown[] = [];
  try {
    const onEvent = (name: string, data: unknown) => void events.push([name, data]);
    const { signal } = new AbortController();
    const asked = requestEvents({ url, timeoutMs: 5000, onEvent, signal });
    const ended = await asked.catch((error: Error) => error.message);
    return { events, ended };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('events come whole, whatever the pieces, and comments are no events', async () => {
  const { events, ended } = await ask([
    ': alive\n\neve',
    'nt: progress\nid: 1\nda',
    'ta: {"a":\ndata: 1}\n',
    '\ndata: {"b":2}\n\n: alive\n\n',
    'event: end\ndata:{"c":"ä"}\n\n',
  ]);
  expect(events).toEqual([
    ['progress', { a: 1 }],
    ['message', { b: 2 }],
    ['end', { c: 'ä' }],
  ]);
  expect(ended).toBeUndefined();
});

test('an event that was cut off is not told of', async () => {
  const { events } = await ask(['event: end\ndata: {"a":1}\n']);
  expect(events).toEqual([]);
});

test('an answer that is no stream is handed over', async () => {
  const { events, ended } = await ask(['{"error":"gone"}'], 'application/json', 404);
  expect(events).toEqual([]);
  expect(ended).toEqual({ status: 404, text: '{"error":"gone"}' });
});
