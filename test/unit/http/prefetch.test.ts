// POST /antares/mounts/{id}/prefetch over a fake host.
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountError } from '../../../src/mount/mount-error.ts';
import { prefetchReport } from '../mount/fake-mount-host.ts';
import { createHttpFixture, type HttpFixture } from './http-fixture.ts';

let http: HttpFixture;
let url: string;

beforeEach(async () => {
  http = await createHttpFixture();
  const { json } = await http.ask('POST', '/antares/mounts', { path: '/a' });
  url = `/antares/mounts/${(json as { mount_id: string }).mount_id}/prefetch`;
});
afterEach(() => http.close());

const events = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

test('answers with a line for each event', async () => {
  const { status, headers, text } = await http.ask('POST', url, { path: 'src', depth: 2, include: ['*.ts'] });
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/x-ndjson');
  const numbers = { folders: 1, present: 0, failed: 0, unsized: 0 };
  expect(events(text)).toEqual([
    {
      event: 'progress',
      counting: true,
      ...numbers,
      files: 0,
      fetched: 0,
      bytes: 0,
      total_bytes: 0,
      pack: null,
    },
    {
      event: 'end',
      ...numbers,
      files: 3,
      fetched: 3,
      bytes: 30,
      total_bytes: 30,
      failures: [],
      used_pack: false,
      duration_ms: 1,
    },
  ]);
  expect(http.host.prefetches[0]?.request).toEqual({
    path: 'src',
    depth: 2,
    include: ['*.ts'],
    exclude: undefined,
    dryRun: undefined,
    pack: 'auto',
  });
});

test('answers an error as other routes where nothing was sent, else as the last event', async () => {
  http.host.prefetching = async () => {
    throw new MountError('not-found', 'src: there is no such folder in the mount');
  };
  expect(await http.ask('POST', url, {})).toMatchObject({
    status: 400,
    json: { error: 'src: there is no such folder in the mount', code: 'INVALID_REQUEST' },
  });
  http.host.prefetching = async (onProgress) => {
    onProgress(prefetchReport({}));
    throw new MountError('upstream', 'the server is gone');
  };
  const { status, text } = await http.ask('POST', url, {});
  expect(status).toBe(200);
  expect(events(text).at(-1)).toEqual({ event: 'error', error: 'the server is gone', code: 'FUSE_ERROR' });
});

test.each([
  [{ depth: -1 }, 422],
  [{ include: 'x' }, 422],
  [{ include: [1] }, 422],
  [{ dry_run: 'yes' }, 422],
  [{ pack: 'maybe' }, 400],
  [{ path: '../x' }, 400],
])('refuses %j', async (body, status) => {
  expect((await http.ask('POST', url, body)).status).toBe(status);
  expect(http.host.prefetches).toEqual([]);
});

test('knows no other mounts', async () => {
  const other = '/antares/mounts/00000000-0000-0000-0000-000000000000/prefetch';
  expect(await http.ask('POST', other, {})).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
});

test('stops the work when the client goes away', async () => {
  let stopped: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  http.host.prefetching = (onProgress, signal) => {
    onProgress(prefetchReport({}));
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        stopped?.();
        reject(signal.reason as Error);
      });
    });
  };
  await http.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = http.app.server.address() as AddressInfo;
  const client = request(`http://127.0.0.1:${port}${url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  client.on('error', () => undefined);
  client.end('{}');
  await once(client, 'response');
  client.destroy();
  await ended;
});
