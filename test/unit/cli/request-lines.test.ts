// A stream of lines from the daemon, and the ways in which it may end.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { requestLines } from '../../../src/cli/request-lines.ts';

/** Has a server answer with one line and then `finish`; the lines that came, and how it ended. */
async function ask(finish: (response: ServerResponse) => void, signal = new AbortController().signal) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.write('{"a":1}\n', () => finish(response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const lines: unknown[] = [];
  try {
    const onLine = (value: unknown) => void lines.push(value);
    const asked = requestLines({ url, body: {}, timeoutMs: 200, onLine, signal });
    const ended = await asked.then(
      () => 'in order',
      (error: Error) => error.message,
    );
    return { lines, ended };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('all lines come, also in pieces', async () => {
  const { lines, ended } = await ask((response) => {
    response.write('{"b"');
    setTimeout(() => response.end(':2}\n'), 20);
  });
  expect(ended).toBe('in order');
  expect(lines).toEqual([{ a: 1 }, { b: 2 }]);
});

test('silence is told as such', async () => {
  expect((await ask(() => undefined)).ended).toMatch('no answer from 127.0.0.1');
});

test('so is a connection that breaks, in a line or between two', async () => {
  expect((await ask((response) => response.destroy())).ended).toMatch('closed the connection');
  expect((await ask((response) => response.socket?.resetAndDestroy())).ended).toMatch(
    'closed the connection',
  );
  expect((await ask((response) => response.end('{"b"'))).ended).toMatch('breaks off');
});

test('who gives up waits no longer', async () => {
  const interrupt = new AbortController();
  const { ended } = await ask(() => interrupt.abort(), interrupt.signal);
  expect(ended).not.toBe('in order');
});
