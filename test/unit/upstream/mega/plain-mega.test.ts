// The client against a Mega that has nothing beyond the recorded API.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMegaUpstream } from '../../../../src/upstream/mega/mega-upstream.ts';
import type { MegaUpstream, MegaUpstreamOptions } from '../../../../src/upstream/mega/mega-upstream.ts';
import { EMPTY_BLOB_ID, EMPTY_TREE_ID, hashObject } from '../../../../src/util/git-hash.ts';
import { createPlainMega, file } from '../../../support/plain-mega.ts';
import type { PlainMega, PlainNode } from '../../../support/plain-mega.ts';
import { collect, failureOf, kindOf, noise, optionsFor } from './support.ts';

const MISSING = '0123456789012345678901234567890123456789';
const tool = file('#!/bin/sh\n', '100755');
const ROOT: PlainNode = {
  'README.md': file('hello\n'),
  doc: { '.gitkeep': file('') },
  empty: {},
  src: { 'main.c': file('int main;\n'), run: tool, link: { mode: '120000', content: Buffer.from('main.c') } },
};

let mega: PlainMega;
let upstream: MegaUpstream;

const connect = (changes: Partial<MegaUpstreamOptions> = {}): MegaUpstream =>
  createMegaUpstream(optionsFor(mega.url, changes));

const treeId = (...path: string[]): string => {
  let payload = [...mega.trees.values()].at(-1) ?? Buffer.alloc(0);
  let id = '';
  for (const name of path) {
    const at = payload.indexOf(`40000 ${name}\0`, 0, 'latin1') + `40000 ${name}\0`.length;
    id = payload.toString('hex', at, at + 20);
    payload = mega.trees.get(id) ?? Buffer.alloc(0);
  }
  return id;
};

beforeEach(async () => {
  mega = await createPlainMega();
  upstream = connect();
});

afterEach(async () => {
  await upstream.close();
  await mega.close();
});

test('the root and a folder resolve to the head, its time and their trees', async () => {
  const head = mega.commit(ROOT, 1_753_329_630);
  expect(await upstream.resolve('/')).toEqual({ ...head, time: 1_753_329_630, path: '/' });
  const src = await upstream.resolve('src//');
  expect(src).toEqual({ commit: head.commit, tree: treeId('src'), time: 1_753_329_630, path: '/src' });
  expect(await upstream.batchesSizes()).toBe(false);
  expect(mega.requests.filter((request) => request.includes('capabilities'))).toHaveLength(1);
});

test('a missing path and a file are not found, an empty folder is', async () => {
  const head = mega.commit(ROOT, 1);
  expect(await kindOf(upstream.resolve('/nowhere'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/nowhere/deep'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/README.md'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/src/../doc'))).toBe('not-found');
  const error = await failureOf(upstream.resolve('/src/run'));
  expect(error.message).toBe(`'/src/run' is no folder of the repository at ${mega.url}`);
  expect(await upstream.resolve('/empty')).toMatchObject({ commit: head.commit, tree: EMPTY_TREE_ID });
});

test('an empty repository root is the empty tree', async () => {
  mega.commit({}, 5);
  expect(await upstream.resolve('/')).toMatchObject({ tree: EMPTY_TREE_ID, time: 5 });
});

test('commit and tree belong together when the head moves while a path is resolved', async () => {
  mega.commit(ROOT, 1);
  let moves = 2;
  mega.intercept = (request) => {
    if (moves > 0 && request.url?.startsWith('/api/v1/file/tree') === true) {
      moves--;
      mega.commit({ ...ROOT, [`new${moves}`]: file(`${moves}`) }, 100 + moves);
    }
    return false;
  };
  const snapshot = await upstream.resolve('/');
  expect(snapshot.time).toBe(100);
  expect(snapshot.tree).toBe(hashObject('tree', [...mega.trees.values()].at(-1) ?? Buffer.alloc(0)));
});

test('a head that never rests is reported', async () => {
  let count = 0;
  mega.commit(ROOT, 1);
  mega.intercept = (request) => {
    if (request.url?.startsWith('/api/v1/latest-commit') === true) mega.commit(ROOT, ++count);
    return false;
  };
  const error = await failureOf(upstream.resolve('/src'));
  expect([error.kind, error.message.includes('moves faster')]).toEqual(['server', true]);
});

test('an imported repository counts by its content, whatever placeholder its parent lists', async () => {
  const { commit } = mega.commit({ 'third-party': { foo: { '.gitkeep': file('2026-01-01') } } }, 9);
  const entry = Buffer.concat([
    Buffer.from('100644 lib.rs\0'),
    Buffer.from(hashObject('blob', Buffer.from('x')), 'hex'),
  ]);
  mega.intercept = (request, response) => {
    if (request.url?.endsWith('/file/tree?path=%2Fthird-party%2Ffoo') !== true) return false;
    response.end(entry);
    return true;
  };
  const snapshot = await upstream.resolve('/third-party/foo');
  expect(snapshot).toEqual({ commit, time: 9, tree: hashObject('tree', entry), path: '/third-party/foo' });
  mega.commit({ 'third-party': { foo: { '.gitkeep': file('2026-01-02') } } }, 10);
  const error = await failureOf(upstream.resolve('/third-party/foo', { commit }));
  expect(error.kind).toBe('moved');
  expect(error.message).toContain('imported repository');
});

test('a path can be pinned to an older commit', async () => {
  const older = mega.commit(ROOT, 1);
  const src = treeId('src');
  mega.commit({ other: file('x') }, 2);
  expect(await upstream.resolve('/src', { commit: older.commit })).toEqual({
    commit: older.commit,
    time: 1,
    tree: src,
    path: '/src',
  });
  expect(await kindOf(upstream.resolve('/src'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/other', { commit: older.commit }))).toBe('not-found');
});

test('an older commit of the root is refused, since its modes cannot be learned', async () => {
  const older = mega.commit({ run: tool, gone: file('1'), sub: {} }, 1);
  mega.commit({ run: tool, added: file('2'), sub: {} }, 2);
  expect(await kindOf(upstream.resolve('/', { commit: older.commit }))).toBe('moved');
});

test('a tree comes byte for byte, sorted or not', async () => {
  const head = mega.commit({ b: { y: file('1'), x: file('2') }, a: file('3') }, 1, (entries) => entries);
  const snapshot = await upstream.resolve('/b');
  const { payload } = await upstream.fetchTree(snapshot.tree, { snapshot, path: '' });
  expect(payload.toString('latin1').startsWith('100644 y\0')).toBe(true);
  expect(hashObject('tree', payload)).toBe(snapshot.tree);
  expect(snapshot.commit).toBe(head.commit);
});

test('the empty tree and the empty blob are known without asking', async () => {
  const snapshot = { commit: MISSING, time: 0, tree: EMPTY_TREE_ID, path: '/' };
  expect((await upstream.fetchTree(EMPTY_TREE_ID, { snapshot, path: 'a' })).payload).toHaveLength(0);
  const sink = collect();
  await upstream.fetchBlob(EMPTY_BLOB_ID, sink);
  expect(sink.begins).toEqual([0]);
  expect(await upstream.fetchSizes([EMPTY_BLOB_ID])).toEqual(new Map([[EMPTY_BLOB_ID, 0]]));
  expect(mega.requests).toEqual([]);
});

test('a tree of the older commit is rebuilt when the head has moved on', async () => {
  const before = mega.commit(ROOT, 1);
  const snapshot = await upstream.resolve('/');
  const src = treeId('src');
  mega.commit({ ...ROOT, src: { 'main.c': file('changed'), run: tool, extra: file('e') } }, 2);
  const { payload } = await upstream.fetchTree(src, { snapshot, path: 'src' });
  expect(hashObject('tree', payload)).toBe(src);
  expect(payload.includes('100755 run\0')).toBe(true);
  expect(payload.includes('120000 link\0')).toBe(true);
  expect(hashObject('tree', (await upstream.fetchTree(before.tree, { snapshot, path: '' })).payload)).toBe(
    before.tree,
  );
});

test('a tree whose folder is gone from the head is rebuilt, and fails with a way out where it cannot be', async () => {
  mega.commit({ gone: { a: tool, b: file('b'), c: file('c') } }, 1);
  const gone = treeId('gone');
  const snapshot = await upstream.resolve('/');
  mega.commit({}, 2);
  expect(hashObject('tree', (await upstream.fetchTree(gone, { snapshot, path: 'gone' })).payload)).toBe(gone);
  const error = await failureOf(upstream.fetchTree(MISSING, { snapshot, path: 'gone' }));
  expect(error.kind).toBe('moved');
  expect(error.message).toContain('mount the path anew');
  const unknown = { ...snapshot, commit: MISSING };
  expect(await kindOf(upstream.fetchTree(gone, { snapshot: unknown, path: 'gone' }))).toBe('moved');
});

test('names of every kind reach the server as they are', async () => {
  const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
  const names = [
    '100% & + # ?=',
    latin1('名前 é'),
    'a\\b"c\'',
    '\xff\xfe raw',
    '%41',
    ' lead',
    'x'.repeat(255),
    '-n\n',
  ];
  let node: PlainNode = { 'deep file': file('found') };
  for (const name of [...names].reverse()) node = { [name]: node };
  mega.commit(node, 1);
  const snapshot = await upstream.resolve(`/${names.join('/')}`);
  expect(
    (await upstream.fetchTree(snapshot.tree, { snapshot, path: '' })).payload.includes('deep file'),
  ).toBe(true);
  const [first = '', ...rest] = names;
  const above = await upstream.resolve(first);
  expect(
    (await upstream.fetchTree(snapshot.tree, { snapshot: above, path: rest.join('/') })).payload,
  ).toHaveLength(37);
});

test('sizes cost one HEAD for each id that is asked for, and keep to the bound of requests', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`f${index}`, file('x'.repeat(index))]),
  );
  mega.commit(files, 1);
  let running = 0;
  let most = 0;
  mega.intercept = (request, response) => {
    if (request.method !== 'HEAD') return false;
    most = Math.max(most, ++running);
    response.once('close', () => running--);
    const blob = mega.blobs.get((request.url ?? '').slice(-40));
    setTimeout(() => response.writeHead(blob ? 200 : 404, { 'content-length': blob?.length ?? 0 }).end(), 5);
    return true;
  };
  const ids = [...mega.blobs.keys()];
  const sizes = await upstream.fetchSizes([...ids, ...ids, MISSING]);
  expect(sizes).toEqual(new Map(ids.map((id) => [id, mega.blobs.get(id)?.length ?? -1])));
  expect(most).toBeGreaterThan(4);
  expect(most).toBeLessThanOrEqual(8);
  expect(mega.requests.filter((request) => request.startsWith('HEAD'))).toHaveLength(ids.length);
});

test('a size that HEAD does not tell is counted', async () => {
  mega.commit({ f: file('12345') }, 1);
  mega.intercept = (request, response) => {
    if (request.method !== 'HEAD') return false;
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end();
    return true;
  };
  const [id = ''] = mega.blobs.keys();
  expect(await upstream.fetchSizes([id])).toEqual(new Map([[id, 5]]));
});

test('a blob streams into its sink', async () => {
  const content = noise(3_000_000);
  mega.commit({ big: file(content) }, 1);
  const id = hashObject('blob', content);
  const sink = collect();
  await upstream.fetchBlob(id, sink);
  expect(sink.begins).toEqual([content.length]);
  expect(sink.content().equals(content)).toBe(true);
  expect(upstream.counters).toMatchObject({
    requests: 1,
    bytesReceived: content.length,
    repeats: 0,
    failures: 0,
  });
});

test('a blob without an announced length is verified all the same, large ones with the help of HEAD', async () => {
  const [small, large] = [noise(1000), noise(9 * 1024 * 1024)];
  mega.commit({ small: file(small), large: file(large) }, 1);
  mega.intercept = (request, response) => {
    const blob = mega.blobs.get((request.url ?? '').slice(-40));
    if (blob === undefined || request.method !== 'GET') return false;
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(blob);
    return true;
  };
  for (const content of [small, large]) {
    const sink = collect();
    await upstream.fetchBlob(hashObject('blob', content), sink);
    expect(sink.begins).toEqual([content.length]);
    expect(sink.content().equals(content)).toBe(true);
  }
  expect(mega.requests.filter((request) => request.startsWith('HEAD'))).toHaveLength(1);
});

test('a missing blob is not found, and the message has what the server says', async () => {
  mega.commit(ROOT, 1);
  const error = await failureOf(upstream.fetchBlob(MISSING, collect()));
  expect([error.kind, error.status]).toEqual(['not-found', 404]);
  expect(error.message).toContain(`${mega.url} answered 404: ObjStorage not found`);
  expect(error.message).toContain(`GET ${mega.url}/api/v1/file/blob/${MISSING}`);
  expect(upstream.counters.requests).toBe(1);
});

test('many blobs come one by one, each with its own end', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`f${index}`, file(`content ${index}`)]),
  );
  mega.commit(files, 1);
  const ids = [...mega.blobs.keys()];
  const sinks = new Map(ids.map((id) => [id, collect()]));
  const ends = new Map<string, Error | undefined>();
  await upstream.fetchBlobs(
    [...ids, MISSING, EMPTY_BLOB_ID, ...ids],
    (id) => sinks.get(id) ?? collect(),
    (id, error) => {
      expect(ends.has(id)).toBe(false);
      ends.set(id, error);
    },
  );
  for (const id of ids) {
    expect(ends.get(id)).toBeUndefined();
    expect(
      sinks
        .get(id)
        ?.content()
        .equals(mega.blobs.get(id) ?? Buffer.alloc(0)),
    ).toBe(true);
  }
  expect(ends.size).toBe(ids.length + 2);
  expect(ends.get(MISSING)).toMatchObject({ kind: 'not-found' });
});

test('connections are reused and bounded', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [`f${index}`, file(`content ${index}`)]),
  );
  mega.commit(files, 1);
  const ids = [...mega.blobs.keys()];
  await upstream.fetchSizes(ids);
  await Promise.all(ids.map((id) => upstream.fetchBlob(id, collect())));
  await upstream.resolve('/');
  expect(mega.connections).toBeLessThanOrEqual(8);
});

test('a base URL may have a path and credentials, which no message repeats', async () => {
  mega.commit(ROOT, 7);
  let authorization: string | undefined;
  mega.intercept = (request) => {
    ({ authorization } = request.headers);
    request.url = request.url?.replace(/^\/mono/, '') ?? '';
    return false;
  };
  mega.requests.length = 0;
  const other = createMegaUpstream(optionsFor(`${mega.url.replace('//', '//ann:s%3Acret@')}/mono/`));
  expect(await kindOf(other.fetchBlob(MISSING, collect()))).toBe('not-found');
  const { message } = await failureOf(other.fetchBlob(MISSING, collect()));
  await other.close();
  expect(mega.requests[0]).toBe(`GET /mono/api/v1/file/blob/${MISSING}`);
  expect(authorization).toBe(`Basic ${Buffer.from('ann:s:cret').toString('base64')}`);
  expect(other.url).toBe(`${mega.url}/mono`);
  expect(message).not.toContain('cret');
  for (const wrong of ['', 'not a url', 'ftp://host/', '/api']) {
    expect(() => createMegaUpstream(optionsFor(wrong))).toThrow('base_url must be a URL');
  }
});

test('a redirect is reported, not followed', async () => {
  mega.intercept = (_request, response) => {
    response.writeHead(301, { location: 'https://elsewhere.test/' }).end();
    return true;
  };
  const error = await failureOf(upstream.resolve('/'));
  expect([error.kind, error.status]).toEqual(['refused', 301]);
  expect(error.message).toContain('redirects to https://elsewhere.test/; set base_url');
});

test('nonsense instead of capabilities is a plain Mega; a server in trouble is asked again', async () => {
  mega.commit(ROOT, 1);
  for (const [status, body] of [
    [200, '<html>'],
    [200, '{"req_result":true,"data":[],"err_message":""}'],
    [200, '{"req_result":true,"data":{"features":"all"},"err_message":""}'],
    [401, 'Login first'],
    [405, ''],
  ] as const) {
    mega.intercept = (request, response) => {
      if (request.url !== '/api/v1/capabilities') return false;
      response.writeHead(status).end(body);
      return true;
    };
    const other = connect();
    expect(await other.batchesSizes()).toBe(false);
    expect(await other.resolve('/')).toMatchObject({ time: 1 });
    await other.close();
  }
});
