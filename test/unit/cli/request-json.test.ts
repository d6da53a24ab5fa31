// One request of a command: what comes back, and how its failures are told apart.
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { requestJson, TransportError } from '../../../src/cli/request-json.ts';

/** Runs `use` with the URL of a server, which is gone afterwards. */
async function serving<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function failureOf(url: string, timeoutMs = 5000): Promise<TransportError> {
  const error: unknown = await requestJson({ method: 'GET', url, timeoutMs }).catch(
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TransportError)) throw new Error('it is no TransportError', { cause: error });
  return error;
}

test('a body goes out as JSON, and the answer comes back whatever its status', async () => {
  const answer = await serving(
    (request, response) => {
      const { method, url, headers } = request;
      request.setEncoding('utf8');
      let body = '';
      request.on('data', (text: string) => (body += text));
      request.on('end', () => {
        response.statusCode = 422;
        response.end(JSON.stringify({ method, url, type: headers['content-type'], body }));
      });
    },
    (url) => requestJson({ method: 'POST', url: `${url}/a?b=c`, body: { name: 'grün' }, timeoutMs: 5000 }),
  );
  expect(answer.status).toBe(422);
  expect(JSON.parse(answer.text)).toEqual({
    method: 'POST',
    url: '/a?b=c',
    type: 'application/json',
    body: '{"name":"grün"}',
  });
});

test('silence, before the answer and in the middle of it, is a timeout', async () => {
  const listeners: RequestListener[] = [
    () => undefined,
    (_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('half'),
  ];
  for (const listener of listeners) {
    const error = await serving(listener, (url) => failureOf(url, 100));
    expect([error.reason, error.message]).toEqual(['timeout', expect.stringContaining('within 0.1 s')]);
  }
});

test('nobody listening, a connection that breaks, and an URL that is none are told apart', async () => {
  const refused = await failureOf(
    await serving(
      () => undefined,
      (url) => Promise.resolve(url),
    ),
  );
  expect([refused.reason, refused.message]).toEqual(['refused', expect.stringContaining('nothing listens')]);
  const broken = await serving(({ socket }) => void socket.destroy(), failureOf);
  expect([broken.reason, broken.message]).toEqual([
    'other',
    expect.stringContaining('closed the connection'),
  ]);
  expect((await failureOf('no URL')).reason).toBe('other');
});
