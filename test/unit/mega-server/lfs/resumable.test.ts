// Uploads that go on where they broke off, by the tus protocol.
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMegaServer } from '../../../../src/mega-server/mega-server.ts';
import { ask, until } from '../support.ts';
import { type LfsServed, oidOf, serveLfs } from './support.ts';

const CONTENT = randomBytes(2_000_000);
const OID = oidOf(CONTENT);
const TYPE = 'application/offset+octet-stream';

let served: LfsServed;
let path: string;

beforeEach(async () => {
  served = await serveLfs();
  const answer = await served.post('/objects/batch', {
    operation: 'upload',
    transfers: ['basic', 'tus'],
    objects: [{ oid: OID, size: CONTENT.length }],
  });
  const { transfer, objects } = answer.json<{
    transfer: string;
    objects: { actions: { upload: { href: string } } }[];
  }>();
  expect(transfer).toBe('tus');
  const url = new URL(objects[0]?.actions.upload.href ?? '');
  path = url.pathname + url.search;
});
afterEach(() => served[Symbol.asyncDispose]());

const head = (base = served.url) =>
  ask(base, path, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });

const patch = (offset: number, body: Buffer, headers = {}) =>
  ask(served.url, path, {
    method: 'PATCH',
    headers: { 'tus-resumable': '1.0.0', 'upload-offset': offset, 'content-type': TYPE, ...headers },
    body,
  });

test('parts make the object, which is not seen before it is complete', async () => {
  expect((await head()).headers['upload-offset']).toBe('0');
  const first = await patch(0, CONTENT.subarray(0, 700_000));
  expect([first.status, first.headers['upload-offset']]).toEqual([204, '700000']);
  expect(served.files('objects')).toEqual([]);
  expect((await patch(600_000, CONTENT.subarray(600_000))).status).toBe(409);
  const last = await patch(700_000, CONTENT.subarray(700_000));
  expect([last.status, last.headers['upload-offset']]).toEqual([204, String(CONTENT.length)]);
  expect([served.files('objects'), served.files('incoming')]).toEqual([[OID], []]);
  expect((await ask(served.url, `/objects/${OID}`)).body.equals(CONTENT)).toBe(true);
  expect((await head()).headers['upload-offset']).toBe(String(CONTENT.length));
});

test('what came before the connection broke is kept, also for the next server', async () => {
  const outgoing = request(`${served.url}${path}`, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0',
      'upload-offset': 0,
      'content-type': TYPE,
      'content-length': CONTENT.length,
    },
  });
  outgoing.on('error', () => undefined);
  outgoing.write(CONTENT.subarray(0, 500_000));
  await until(async () => Number((await head()).headers['upload-offset']) === 500_000, 'a part arrived');
  expect((await patch(500_000, CONTENT.subarray(500_000))).status).toBe(423);
  outgoing.destroy();
  await using again = await createMegaServer({
    repo: served.server.gitDirectory,
    port: 0,
    lfs: { root: served.root },
  });
  expect((await head(again.url)).headers['upload-offset']).toBe('500000');
  await until(
    async () => (await patch(500_000, CONTENT.subarray(500_000))).status === 204,
    'the broken request has let go',
  );
  expect(served.files('objects')).toEqual([OID]);
});

test('parts that do not make the object are thrown away', async () => {
  await patch(0, CONTENT.subarray(0, 1000));
  expect((await patch(1000, Buffer.alloc(CONTENT.length - 1000))).status).toBe(422);
  expect((await head()).headers['upload-offset']).toBe('0');
  expect((await patch(0, Buffer.concat([CONTENT, Buffer.from('more')]))).status).toBe(422);
  expect([served.files('objects'), served.files('incoming')]).toEqual([[], []]);
});

test('other versions and types are refused', async () => {
  expect((await patch(0, CONTENT, { 'tus-resumable': '2.0.0' })).status).toBe(412);
  expect((await patch(0, CONTENT, { 'content-type': 'application/octet-stream' })).status).toBe(415);
  expect((await patch(0, CONTENT, { 'upload-offset': 'x' })).status).toBe(400);
});
