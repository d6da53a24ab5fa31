// Large files over the embedded server: batch, download with ranges, and uploads that are checked.
import { createHash } from 'node:crypto';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, until } from '../support.ts';
import { type LfsServed, oidOf, serveLfs } from './support.ts';

const CONTENT = 'the content of a large file';
const OID = oidOf(CONTENT);

interface BatchObject {
  readonly oid: string;
  readonly size: number;
  readonly authenticated?: boolean;
  readonly actions?: Readonly<
    Record<string, { href: string; header: Record<string, string>; expires_at: string }>
  >;
  readonly error?: { readonly code: number; readonly message: string };
}

interface BatchAnswer {
  readonly transfer: string;
  readonly objects: readonly BatchObject[];
}

let served: LfsServed;

beforeEach(async () => {
  served = await serveLfs();
});
afterEach(() => served[Symbol.asyncDispose]());

async function batch(operation: string, objects: unknown[], more: object = {}): Promise<BatchAnswer> {
  const answer = await served.post('/objects/batch', {
    operation,
    transfers: ['basic'],
    objects,
    hash_algo: 'sha256',
    ...more,
  });
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/vnd.git-lfs+json']);
  return answer.json<BatchAnswer>();
}

const get = (headers = {}, method = 'GET') =>
  ask(served.url, `/info/lfs/objects/${OID}`, { method, headers });

test('an object goes up and comes down through the links of the batch call, on every layout of the URL', async () => {
  const layouts = ['/info/lfs', '/a/path/info/lfs', '/a/path.git/info/lfs', '/api/v1/lfs', ''];
  for (const prefix of layouts) {
    const content = `by way of ${prefix}`;
    const object = { oid: oidOf(content), size: content.length };
    const link = async (operation: 'upload' | 'download') => {
      const answer = await served.post('/objects/batch', { operation, objects: [object] }, { prefix });
      const { transfer, objects } = answer.json<BatchAnswer>();
      expect([answer.status, transfer, objects[0]?.authenticated]).toEqual([200, 'basic', true]);
      return objects[0]?.actions?.[operation];
    };
    const up = await link('upload');
    expect(up?.href).toBe(`${served.url}${prefix}/objects/${object.oid}`);
    expect(Date.parse(up?.expires_at ?? '')).toBeGreaterThan(Date.now());
    const path = new URL(up?.href ?? '').pathname;
    expect((await ask(served.url, path, { method: 'PUT', body: content })).status).toBe(200);
    expect(await link('upload')).toBe(undefined);
    const down = new URL((await link('download'))?.href ?? '').pathname;
    expect((await ask(served.url, down)).body.toString()).toBe(content);
  }
});

test('links name the host by which the client came', async () => {
  const body = JSON.stringify({ operation: 'upload', objects: [{ oid: OID, size: 1 }] });
  const answer = await ask(served.url, '/api/v1/lfs/objects/batch', {
    method: 'POST',
    headers: { 'content-type': 'application/json', host: 'files.example:81' },
    body,
  });
  expect(answer.json<BatchAnswer>().objects[0]?.actions?.['upload']?.href).toBe(
    `http://files.example:81/api/v1/lfs/objects/${OID}`,
  );
});

test('the batch call tells of each object what is wrong with it', async () => {
  await served.put(CONTENT);
  const { objects } = await batch('download', [
    { oid: OID, size: CONTENT.length },
    { oid: OID, size: 5 },
    { oid: '0'.repeat(64), size: 1 },
    { oid: 'A'.repeat(64), size: 1 },
    { oid: '0'.repeat(63), size: 1 },
    { oid: '0'.repeat(65), size: 1 },
    { oid: OID, size: -1 },
    {},
  ]);
  expect(objects.map(({ error }) => error?.code)).toEqual([undefined, 422, 404, 422, 422, 422, 422, 422]);
  const uploads = await batch('upload', [{ oid: oidOf(''), size: 0 }]);
  expect(uploads.objects[0]?.actions?.['upload']).toBeDefined();
});

test('a batch call that makes no sense is refused as a whole', async () => {
  const statusOf = async (value: unknown) => (await served.post('/objects/batch', value)).status;
  expect(await statusOf({ operation: 'steal', objects: [] })).toBe(422);
  expect(await statusOf({ operation: 'download' })).toBe(422);
  expect(await statusOf({ operation: 'download', objects: [], hash_algo: 'sha512' })).toBe(409);
  expect(await statusOf({ operation: 'download', objects: Array(1001).fill({ oid: OID, size: 1 }) })).toBe(
    413,
  );
  const broken = await ask(served.url, '/objects/batch', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{',
  });
  expect([broken.status, Object.keys(broken.json<object>())]).toEqual([400, ['message']]);
});

test('a part of an object is a 206 with its place, and nothing else is sent', async () => {
  await served.put(CONTENT);
  const part = await get({ range: 'bytes=4-10' });
  expect([
    part.status,
    part.body.toString(),
    part.headers['content-range'],
    part.headers['content-length'],
  ]).toEqual([206, 'content', `bytes 4-10/${CONTENT.length}`, '7']);
  expect((await get({ range: 'bytes=-4' })).body.toString()).toBe('file');
  expect((await get({ range: 'bytes=4-', 'if-range': `"${OID}"` })).status).toBe(206);
  expect((await get({ range: 'bytes=4-', 'if-range': '"other"' })).status).toBe(200);
  const beyond = await get({ range: 'bytes=1000-' });
  expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${CONTENT.length}`]);
  const head = await get({ range: 'bytes=4-10' }, 'HEAD');
  expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
    200,
    String(CONTENT.length),
    0,
  ]);
});

test('what is not there is a 404 in the words of the API, and a list of chunks is not supported', async () => {
  const answer = await get();
  expect([answer.status, answer.json<{ message: string }>().message]).toEqual([
    404,
    `LFS object not found: ${OID}`,
  ]);
  expect((await ask(served.url, `/info/lfs/objects/${OID}/chunks`)).status).toBe(404);
  expect((await ask(served.url, '/info/lfs/objects/..%2f..%2fetc')).status).toBe(422);
});

test('an upload of other content, or of another size, is refused and leaves nothing', async () => {
  expect((await served.put('something else', OID)).status).toBe(422);
  await batch('upload', [{ oid: OID, size: 5 }]);
  expect((await served.put(CONTENT)).status).toBe(422);
  await batch('upload', [{ oid: OID, size: CONTENT.length }]);
  expect((await served.put('x'.repeat(CONTENT.length), OID)).status).toBe(422);
  expect([served.files('objects'), served.files('incoming')]).toEqual([[], []]);
  expect((await served.put(CONTENT)).status).toBe(200);
  expect(served.files('objects')).toEqual([OID]);
});

test('the empty object can be uploaded and downloaded', async () => {
  expect((await served.put('')).status).toBe(200);
  const answer = await ask(served.url, `/objects/${oidOf('')}`);
  expect([answer.status, answer.headers['content-length'], answer.body.length]).toEqual([200, '0', 0]);
});

test('an upload whose connection breaks leaves nothing', async () => {
  const { port } = new URL(served.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    `PUT /info/lfs/objects/${OID} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome bytes`,
  );
  await until(() => served.files('incoming').length === 1, 'the upload has begun');
  socket.resetAndDestroy();
  await until(() => served.files('incoming').length === 0, 'the upload is gone');
  expect(served.files('objects')).toEqual([]);
});

test('several uploads of the same object at once all succeed, and it is there once', async () => {
  const content = Buffer.alloc(3_000_000, 'abcdefg');
  const answers = await Promise.all(Array.from({ length: 6 }, () => served.put(content)));
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
  expect([served.files('objects'), served.files('incoming')]).toEqual([[oidOf(content)], []]);
});

test('a sparse object of 10 GiB is served from the middle without being read', async () => {
  const oid = createHash('sha256').update('stands for ten gibibytes').digest('hex');
  const folder = join(served.root, 'objects', oid.slice(0, 2), oid.slice(2, 4));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, oid), '');
  const size = 10 * 1024 ** 3;
  truncateSync(join(folder, oid), size);
  const { objects } = await batch('download', [{ oid, size }]);
  expect(objects[0]?.actions?.['download']).toBeDefined();
  const answer = await ask(served.url, `/info/lfs/objects/${oid}`, {
    headers: { range: 'bytes=5368709120-5368709129' },
  });
  expect([answer.status, answer.body]).toEqual([206, Buffer.alloc(10)]);
});
