// The client against the embedded server, which can do more than Mega, with faults in between.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMegaServer } from '../../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../../src/mega-server/mega-server.ts';
import { createMegaUpstream } from '../../../../src/upstream/mega/mega-upstream.ts';
import type { MegaUpstream, MegaUpstreamOptions } from '../../../../src/upstream/mega/mega-upstream.ts';
import { parseRawTree } from '../../../../src/git/raw-tree.ts';
import { unpackSizes } from '../../../../src/git/sized-tree.ts';
import type { SizedTree } from '../../../../src/git/sized-tree.ts';
import type { WantedTree } from '../../../../src/upstream/upstream.ts';
import { EMPTY_BLOB_ID, EMPTY_TREE_ID, hashObject } from '../../../../src/util/git-hash.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import type { FaultProxy } from '../../../support/fault-proxy.ts';
import { createGitRepository, utf8Name } from '../../../support/git-repository.ts';
import type { GitRepository } from '../../../support/git-repository.ts';
import { collect, kindOf, noise, optionsFor } from './support.ts';

const MISSING = '0123456789012345678901234567890123456789';
const BIG = noise(2_000_000);
const BIG_ID = hashObject('blob', BIG);
const SMALL = Array.from({ length: 100 }, (_, index) => Buffer.from(`small ${index}\n\0`.repeat(index)));
const SMALL_IDS = SMALL.slice(1).map((content) => hashObject('blob', content));
const ODD = [utf8Name('名前 é'), '100% &+#?', '\xff\xfe'].join('/');

let repository: GitRepository;
let server: MegaServer;
let proxy: FaultProxy;
let upstream: MegaUpstream;

beforeAll(async () => {
  const files: Record<string, Buffer | string> = { big: BIG, [`${ODD}/f`]: 'odd', 'src/main.c': 'int main;' };
  for (const [index, content] of SMALL.entries()) files[`small/${index}`] = content;
  repository = await createGitRepository({ files });
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server.close();
  await repository.remove();
});

const connect = (changes: Partial<MegaUpstreamOptions> = {}): MegaUpstream =>
  createMegaUpstream(optionsFor(proxy.url, changes));

beforeEach(async () => {
  proxy = await createFaultProxy(server.url);
  upstream = connect();
});

afterEach(async () => {
  await upstream.close();
  await proxy.close();
});

/** Fetches many and collects: contents of those that arrived, messages of those that did not. */
async function fetchMany(ids: readonly string[]): Promise<Map<string, Buffer | Error>> {
  const sinks = new Map<string, ReturnType<typeof collect>>();
  const ends = new Map<string, Buffer | Error>();
  await upstream.fetchBlobs(
    ids,
    (id) => {
      expect(sinks.has(id)).toBe(false);
      const sink = collect();
      sinks.set(id, sink);
      return sink;
    },
    (id, error) => {
      expect(ends.has(id)).toBe(false);
      ends.set(id, error ?? sinks.get(id)?.content() ?? Buffer.alloc(0));
    },
  );
  return ends;
}

function expectAllSmall(ends: Map<string, Buffer | Error>): void {
  for (const id of SMALL_IDS) {
    const content = ends.get(id);
    expect(Buffer.isBuffer(content) && hashObject('blob', content)).toBe(id);
  }
}

test('a path resolves in one request, also with odd names, at the head or an older commit', async () => {
  const head = (await repository.git(['rev-parse', 'HEAD'])).trim();
  const tree = (await repository.git(['rev-parse', 'HEAD:src'])).trim();
  const time = Number(await repository.git(['log', '-1', '--format=%ct']));
  expect(await upstream.resolve('/src')).toEqual({ commit: head, tree, time, path: '/src' });
  expect(proxy.requests.map(({ url }) => url.split('?')[0])).toEqual([
    '/api/v1/capabilities',
    '/api/v1/object/resolve',
  ]);
  expect((await upstream.resolve(ODD)).path).toBe(`/${ODD}`);
  expect(await kindOf(upstream.resolve('/nowhere'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/big'))).toBe('not-found');
  expect(await kindOf(upstream.resolve('/src', { commit: MISSING }))).toBe('not-found');
  expect(await upstream.resolve('/', { commit: head })).toMatchObject({ commit: head });
});

test('a tree comes by its id, also after the head moved on', async () => {
  const other = await createGitRepository({
    files: { 'a/x': 'one', 'a/run': { content: 'r', mode: 0o100755 } },
  });
  const second = await createMegaServer({ repo: other.path, port: 0 });
  try {
    proxy.retarget(second.url);
    const snapshot = await upstream.resolve('/a');
    await other.commit({ 'a/x': 'two', 'a/run': null, 'b/y': 'new' });
    const { payload, sizes } = await upstream.fetchTree(snapshot.tree, { snapshot, path: '' });
    expect(hashObject('tree', payload)).toBe(snapshot.tree);
    expect([...(unpackSizes(sizes ?? Buffer.alloc(0), 2) ?? [])]).toEqual([1, 3]);
    expect(await upstream.resolve('/a', { commit: snapshot.commit })).toEqual(snapshot);
    expect((await upstream.resolve('/a')).tree).not.toBe(snapshot.tree);
    expect(await kindOf(upstream.fetchTree(MISSING, { snapshot, path: '' }))).toBe('moved');
  } finally {
    await second.close();
    await other.remove();
  }
});

test('wrong bytes of a tree are noticed, and asked for again once', async () => {
  const snapshot = await upstream.resolve('/src');
  const fetchIt = (): Promise<SizedTree> => upstream.fetchTree(snapshot.tree, { snapshot, path: '' });
  proxy.inject({ kind: 'corrupt', at: 60 }, { path: '/object/trees', times: 1 });
  expect(hashObject('tree', (await fetchIt()).payload)).toBe(snapshot.tree);
  expect(proxy.count('/object/trees')).toBe(2);
  proxy.inject({ kind: 'corrupt', at: 60 }, { path: '/object/trees' });
  expect(await kindOf(fetchIt())).toBe('corrupt');
});

/** Ids of the root's folders, as trees to ask for. */
async function wantedTrees(): Promise<WantedTree[]> {
  const snapshot = await upstream.resolve('/');
  const { payload } = await upstream.fetchTree(snapshot.tree, { snapshot, path: '' });
  return parseRawTree(payload)
    .filter(({ mode }) => mode === 0o40000)
    .map(({ id, name }) => ({ id, location: { snapshot, path: name } }));
}

async function fetchAll(wanted: readonly WantedTree[]): Promise<Map<string, SizedTree | Error>> {
  const trees = new Map<string, SizedTree | Error>();
  await upstream.fetchTrees(wanted, (id, tree) => {
    expect(trees.has(id)).toBe(false);
    trees.set(id, tree);
  });
  return trees;
}

function expectAllTrees(wanted: readonly WantedTree[], trees: Map<string, SizedTree | Error>): void {
  expect(wanted.length).toBeGreaterThan(2);
  for (const { id } of wanted) expect(hashObject('tree', (trees.get(id) as SizedTree).payload)).toBe(id);
}

test('many trees come in one request, each with the sizes of its blobs', async () => {
  const wanted = await wantedTrees();
  proxy.reset();
  const missing = { id: MISSING, location: (wanted[0] as WantedTree).location };
  const trees = await fetchAll([...wanted, missing]);
  expectAllTrees(wanted, trees);
  expect(proxy.count('/object/trees')).toBe(2);
  expect(trees.get(MISSING)).toMatchObject({ kind: 'moved' });
  const small = trees.get(wanted.find(({ location }) => location.path === 'small')?.id ?? '') as SizedTree;
  const sizes = unpackSizes(small.sizes ?? Buffer.alloc(0), 100);
  const names = parseRawTree(small.payload).map(({ name }) => Number(name));
  expect([...(sizes ?? [])]).toEqual(names.map((index) => SMALL[index]?.length));
});

test('a batch of trees that breaks is continued with what it did not deliver', async () => {
  const wanted = await wantedTrees();
  proxy.reset();
  proxy.inject({ kind: 'truncate', keepBytes: 600 }, { path: '/object/trees', times: 1 });
  expectAllTrees(wanted, await fetchAll(wanted));
  expect(proxy.count('/object/trees')).toBe(2);
});

test('trees come singly where batches are always wrong, and where they are served no more', async () => {
  const wanted = await wantedTrees();
  proxy.inject({ kind: 'status', status: 404 }, { path: '/object/trees' });
  expectAllTrees(wanted, await fetchAll(wanted));
  expect(proxy.count('/object/tree/')).toBe(wanted.length);
  expect(proxy.count('/object/trees')).toBe(2);
  expectAllTrees(wanted, await fetchAll(wanted));
  expect(proxy.count('/object/trees')).toBe(2);
});

test('sizes of many blobs cost one request', async () => {
  expect(await upstream.batchesSizes()).toBe(true);
  proxy.reset();
  const sizes = await upstream.fetchSizes([
    ...SMALL_IDS,
    ...SMALL_IDS,
    BIG_ID,
    MISSING,
    EMPTY_BLOB_ID,
    EMPTY_TREE_ID,
  ]);
  expect(sizes.size).toBe(SMALL_IDS.length + 2);
  for (const [index, id] of SMALL_IDS.entries()) expect(sizes.get(id)).toBe(SMALL[index + 1]?.length);
  expect([sizes.get(BIG_ID), sizes.get(EMPTY_BLOB_ID)]).toEqual([BIG.length, 0]);
  expect(proxy.requests).toHaveLength(1);
});

test('a malformed answer about sizes is asked for again once', async () => {
  proxy.inject(
    { kind: 'status', status: 200, body: '{"req_result":true,"data":{"sizes":[1]},"err_message":""}' },
    {
      path: '/object/sizes',
      times: 1,
    },
  );
  expect((await upstream.fetchSizes([BIG_ID, MISSING])).get(BIG_ID)).toBe(BIG.length);
  proxy.inject({ kind: 'truncate', keepBytes: 20 }, { path: '/object/sizes' });
  expect(await kindOf(upstream.fetchSizes([BIG_ID]))).toBe('server');
});

test('many blobs cost few requests', async () => {
  const ends = await fetchMany([...SMALL_IDS, BIG_ID, MISSING, EMPTY_BLOB_ID, ...SMALL_IDS]);
  expectAllSmall(ends);
  expect(BIG.equals(ends.get(BIG_ID) as Buffer)).toBe(true);
  expect(ends.get(MISSING)).toMatchObject({ kind: 'not-found' });
  expect(ends.get(EMPTY_BLOB_ID)).toEqual(Buffer.alloc(0));
  expect(proxy.count('/object/blobs')).toBeLessThanOrEqual(4);
  expect(proxy.count('/file/blob/')).toBe(0);
});

test('a batch that breaks is continued with what it did not deliver', async () => {
  proxy.inject({ kind: 'die', afterBytes: 3000 }, { path: '/object/blobs', times: 5 });
  expectAllSmall(await fetchMany(SMALL_IDS));
  // The fifth may meet a rest that is shorter than what it lets through.
  expect(upstream.counters.repeats).toBeGreaterThanOrEqual(4);
  expect(proxy.bytes).toBeLessThan(2 * SMALL.reduce((sum, content) => sum + content.length, 0));
  expect(proxy.count('/file/blob/')).toBe(0);
});

test('a wrong byte in a batch costs that blob one more request', async () => {
  proxy.inject({ kind: 'corrupt', at: 8000 }, { path: '/object/blobs', times: 1 });
  expectAllSmall(await fetchMany(SMALL_IDS));
  expect(proxy.count('/file/blob/')).toBeLessThanOrEqual(1);
});

test('batches that are always cut short, or served no more, give way to single requests', async () => {
  proxy.inject({ kind: 'truncate', keepBytes: 3000 }, { path: '/object/blobs' });
  expectAllSmall(await fetchMany(SMALL_IDS));
  expect(proxy.count('/file/blob/')).toBeGreaterThan(10);
  proxy.heal();
  proxy.inject({ kind: 'status', status: 404, body: 'Operation not supported' }, { path: '/object/' });
  proxy.reset();
  expectAllSmall(await fetchMany(SMALL_IDS));
  expect(proxy.count('/file/blob/')).toBe(SMALL_IDS.length);
  expect((await upstream.fetchSizes(SMALL_IDS)).size).toBe(SMALL_IDS.length);
  expect(await upstream.resolve('/src')).toMatchObject({ path: '/src' });
  proxy.reset();
  await fetchMany(SMALL_IDS.slice(0, 3));
  expect(proxy.count('/object/')).toBe(0);
});

test('a failing sink fails its blob only', async () => {
  const full = new Error('disk full');
  const failing = SMALL_IDS[10] ?? '';
  const ends = new Map<string, Error | undefined>();
  await upstream.fetchBlobs(
    SMALL_IDS,
    (id) => (id === failing ? { begin: () => Promise.reject(full), write: () => undefined } : collect()),
    (id, error) => void ends.set(id, error),
  );
  expect([...ends].filter(([, error]) => error !== undefined)).toEqual([[failing, full]]);
  expect(ends.size).toBe(SMALL_IDS.length);
});

test('an error that `done` throws ends the whole and is told', async () => {
  const broken = new Error('no more');
  const failing = upstream.fetchBlobs(SMALL_IDS, collect, () => Promise.reject(broken));
  await expect(failing).rejects.toBe(broken);
});

test('a blob that breaks off is continued where it ended', async () => {
  await upstream.batchesSizes();
  proxy.inject({ kind: 'die', afterBytes: 400_000 }, { path: '/file/blob/', times: 4 });
  proxy.reset();
  const sink = collect();
  await upstream.fetchBlob(BIG_ID, sink);
  expect(sink.begins).toEqual([BIG.length]);
  expect(sink.content().equals(BIG)).toBe(true);
  const ranges = proxy.requests.map(({ headers }) => headers.range);
  expect(ranges[0]).toBeUndefined();
  expect(ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? ''))).toBe(true);
  // Four failures with three attempts: each got further, so each counts from the start.
  expect(proxy.requests.map(({ status }) => status)).toEqual([200, 206, 206, 206, 206]);
  expect(proxy.bytes).toBe(BIG.length);
});

test('a wrong byte in the continued part sends everything again', async () => {
  proxy.inject({ kind: 'die', afterBytes: 400_000 }, { path: '/file/blob/', times: 1 });
  proxy.inject({ kind: 'corrupt', at: 5 }, { path: '/file/blob/', times: 1 });
  const sink = collect();
  await upstream.fetchBlob(BIG_ID, sink);
  expect(sink.begins).toEqual([BIG.length, BIG.length]);
  expect(sink.content().equals(BIG)).toBe(true);
});

test('a server that was replaced by a plain one in the middle of a blob starts it again', async () => {
  await upstream.batchesSizes();
  proxy.inject({ kind: 'die', afterBytes: 400_000 }, { path: '/file/blob/', times: 1 });
  proxy.inject({ kind: 'status', status: 416 }, { path: '/file/blob/', times: 1 });
  const sink = collect();
  await upstream.fetchBlob(BIG_ID, sink);
  expect(sink.begins).toEqual([BIG.length, BIG.length]);
  expect(sink.content().equals(BIG)).toBe(true);
});

test('a hundred cold blobs at 30 ms a round trip take a few round trips', async () => {
  await upstream.batchesSizes();
  proxy.latencyMs = 30;
  const start = performance.now();
  expectAllSmall(await fetchMany(SMALL_IDS));
  expect(performance.now() - start).toBeLessThan(1000);
});
