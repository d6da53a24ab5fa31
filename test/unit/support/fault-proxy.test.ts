// The proxy does what tests rely on: a fault that silently does nothing would make them pass for nothing.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFaultProxy } from '../../support/fault-proxy.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';

const BODY = 'x'.repeat(1000);
let server: Server;
let proxy: FaultProxy;

beforeEach(async () => {
  server = createServer((request, response) => {
    response.writeHead(200, { 'content-length': String(BODY.length), 'x-path': request.url });
    response.end(request.method === 'HEAD' ? undefined : BODY);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await createFaultProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`);
});

afterEach(async () => {
  await proxy.close();
  server.closeAllConnections();
  server.close();
});

const get = (path = '/a'): Promise<Response> =>
  fetch(proxy.url + path, { signal: AbortSignal.timeout(5000) });

test('it forwards below the path of the target, and counts', async () => {
  const answer = await get('/a?b=%20c');
  expect(answer.headers.get('x-path')).toBe('/prefix/a?b=%20c');
  expect(await answer.text()).toBe(BODY);
  expect((await fetch(`${proxy.url}/h`, { method: 'HEAD' })).headers.get('content-length')).toBe('1000');
  expect(proxy.count('/a')).toBe(1);
  expect(proxy.count(/^\/h/, 'HEAD')).toBe(1);
  expect(proxy.bytes).toBe(1000);
  proxy.reset();
  expect(proxy.requests).toHaveLength(0);
});

test('a fault meets only what it matches, and only so often', async () => {
  proxy.inject(
    { kind: 'status', status: 429, retryAfter: '7', body: 'slow down' },
    { path: '/a', times: 1, skip: 1 },
  );
  expect((await get('/b')).status).toBe(200);
  expect((await get()).status).toBe(200);
  const refused = await get();
  expect([refused.status, refused.headers.get('retry-after'), await refused.text()]).toEqual([
    429,
    '7',
    'slow down',
  ]);
  expect((await get()).status).toBe(200);
});

test('it closes, resets and dies in the middle', async () => {
  const heal = proxy.inject({ kind: 'close' });
  await expect(get()).rejects.toThrow('fetch failed');
  heal();
  proxy.inject({ kind: 'close', reset: true }, { times: 1 });
  await expect(get()).rejects.toThrow('fetch failed');
  proxy.inject({ kind: 'die', afterBytes: 100 });
  const answer = await get();
  expect(answer.headers.get('content-length')).toBe('1000');
  await expect(answer.text()).rejects.toThrow('terminated');
  expect(proxy.bytes).toBe(100);
  proxy.heal();
  expect(await (await get()).text()).toBe(BODY);
});

test('it truncates with a length that fits, and corrupts one byte', async () => {
  proxy.inject({ kind: 'truncate', keepBytes: 10 }, { times: 1 });
  expect(await (await get()).text()).toBe(BODY.slice(0, 10));
  proxy.inject({ kind: 'corrupt', at: 500 }, { times: 1 });
  const bytes = Buffer.from(await (await get()).arrayBuffer());
  expect([bytes.length, bytes[499], bytes[500], bytes[501]]).toEqual([1000, 0x78, 0x78 ^ 0xff, 0x78]);
});

test('it delays, drips, stalls and hangs', async () => {
  proxy.latencyMs = 60;
  const before = performance.now();
  await Promise.all([get(), get(), get()].map(async (answer) => (await answer).text()));
  expect(performance.now() - before).toBeGreaterThan(55);
  proxy.latencyMs = 0;
  proxy.inject({ kind: 'drip', bytes: 500, everyMs: 40 }, { path: '/drip' });
  const start = performance.now();
  expect(await (await get('/drip')).text()).toBe(BODY);
  expect(performance.now() - start).toBeGreaterThan(75);
  proxy.inject({ kind: 'hang' }, { path: '/hang' });
  await expect(fetch(`${proxy.url}/hang`, { signal: AbortSignal.timeout(100) })).rejects.toThrow('timeout');
  proxy.inject({ kind: 'stall', afterBytes: 10 }, { path: '/stall' });
  const stalled = await fetch(`${proxy.url}/stall`, { signal: AbortSignal.timeout(150) });
  await expect(stalled.text()).rejects.toThrow('timeout');
});

test('a stopped proxy refuses connections and comes back on the same port', async () => {
  const { url } = proxy;
  await proxy.stop();
  await expect(get()).rejects.toThrow('fetch failed');
  await proxy.start();
  expect(proxy.url).toBe(url);
  expect((await get()).status).toBe(200);
});
