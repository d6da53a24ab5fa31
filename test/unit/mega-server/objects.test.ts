// The extensions: capabilities, many sizes, many blobs, a tree by its id, and resolve.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, dataOf, post, until } from './support.ts';
import type { Envelope } from './support.ts';
import { parseRawTree } from '../../../src/git/raw-tree.ts';
import { isBlobEntry, packSizes } from '../../../src/git/sized-tree.ts';
import { createMegaServer } from '../../../src/mega-server/mega-server.ts';
import type { MegaServer } from '../../../src/mega-server/mega-server.ts';
import { createGitRepository, FIRST_COMMIT_TIME } from '../../support/git-repository.ts';
import type { GitRepository } from '../../support/git-repository.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { scorpioVersion } from '../../../src/util/version.ts';

const MISSING = 'f'.repeat(40);
const CONTENTS = [
  Buffer.from('one\n'),
  Buffer.alloc(0),
  randomBytes(700_000),
  ...Array.from({ length: 300 }, (_, index) => Buffer.from(`file ${index}\n`.repeat(index))),
  randomBytes(200_000),
  randomBytes(256 * 1024),
  randomBytes(256 * 1024 + 1),
];
const IDS = CONTENTS.map((content) => hashObject('blob', content));

let repository: GitRepository;
let server: MegaServer;

beforeAll(async () => {
  const files = CONTENTS.map((content, index) => [`folder/${index}`, content] as const);
  repository = await createGitRepository({
    files: [...files, ['top', 'x'], ['module', { submodule: MISSING }]],
  });
  server = await createMegaServer({ repo: repository.path, port: 0 });
});

afterAll(async () => {
  await server.close();
  await repository.remove();
});

test('capabilities name the features, the limits and the version', async () => {
  expect((await ask(server.url, '/api/v1/capabilities')).json()).toEqual({
    req_result: true,
    data: {
      server: 'scorpio-mega-server',
      version: scorpioVersion(),
      features: [
        'blob-sizes',
        'blob-batch',
        'blob-range',
        'tree-by-id',
        'tree-batch',
        'commit-pinning',
        'lfs',
      ],
      limits: { blob_sizes: 100_000, blob_batch: 10_000, tree_batch: 1000 },
    },
    err_message: '',
  });
});

test('sizes come in the order of the ids, null for what is no blob', async () => {
  const tree = await repository.git(['rev-parse', 'HEAD^{tree}']);
  const oids = [MISSING, ...IDS, tree, repository.head, IDS[0]];
  const answer = await post(server.url, '/api/v1/object/sizes', { oids });
  expect(answer.status).toBe(200);
  const sizes = CONTENTS.map(({ length }) => length);
  expect(answer.json<Envelope<unknown>>().data).toEqual({
    sizes: [null, ...sizes, null, null, CONTENTS[0]?.length],
  });
  expect((await post(server.url, '/api/v1/object/sizes', { oids: [] })).json()).toMatchObject({
    data: { sizes: [] },
  });
});

test('100,000 sizes are one request, one more is refused', async () => {
  const oids = Array.from({ length: 100_000 }, (_, index) => IDS[index % IDS.length] ?? MISSING);
  const answer = await post(server.url, '/api/v1/object/sizes', { oids });
  const { sizes } = answer.json<Envelope<{ sizes: number[] }>>().data;
  expect(sizes.length).toBe(100_000);
  expect(sizes.every((size, index) => size === CONTENTS[index % IDS.length]?.length)).toBe(true);
  const refused = await post(server.url, '/api/v1/object/sizes', { oids: [...oids, MISSING] });
  expect(refused.status).toBe(413);
  expect(refused.json<Envelope<null>>().err_message).toContain('at most 100000');
});

test('blobs come in the framing of cat-file --batch, in order', async () => {
  const tree = await repository.git(['rev-parse', 'HEAD^{tree}']);
  const oids = [MISSING, ...IDS, tree, IDS[2], IDS[0]];
  const answer = await post(server.url, '/api/v1/object/blobs', { oids });
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/octet-stream');
  expect(answer.headers['content-length']).toBe(String(answer.body.length));
  const blobs = oids.filter((id) => id !== tree);
  const expected = await repository.gitBytes(['cat-file', '--batch'], `${blobs.join('\n')}\n`);
  const treeAt = answer.body.indexOf(`${tree} missing\n`);
  const line = `${tree} missing\n`.length;
  expect(treeAt).toBeGreaterThan(0);
  const withoutTree = Buffer.concat([answer.body.subarray(0, treeAt), answer.body.subarray(treeAt + line)]);
  expect(withoutTree.equals(expected)).toBe(true);
  expect((await post(server.url, '/api/v1/object/blobs', { oids: [] })).body.length).toBe(0);
});

test('10,000 blobs are one request, one more is refused', async () => {
  const oids = Array.from({ length: 10_000 }, () => IDS[0] ?? MISSING);
  const answer = await post(server.url, '/api/v1/object/blobs', { oids });
  expect(answer.body.toString()).toBe(`${IDS[0]} blob 4\none\n\n`.repeat(10_000));
  const refused = await post(server.url, '/api/v1/object/blobs', { oids: [...oids, MISSING] });
  expect(refused.status).toBe(413);
  expect(refused.json<Envelope<null>>()).toMatchObject({ req_result: false, data: null });
});

test('a client that leaves a batch in the middle of a large blob leaves no stream', async () => {
  const id = await repository.writeObject('blob', randomBytes(24 * 1024 * 1024));
  const gone = new AbortController();
  const answer = await fetch(`${server.url}/api/v1/object/blobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ oids: [id, id] }),
    signal: gone.signal,
  });
  await answer.body?.getReader().read();
  expect(server.streamCount).toBe(1);
  gone.abort();
  await until(() => server.streamCount === 0, 'the stream ended');
});

test('bodies that are no list of ids are told apart, and nothing of them reaches git', async () => {
  const id = IDS[0] ?? MISSING;
  for (const [body, status] of [
    [{}, 422],
    [{ oids: 'x' }, 422],
    [{ oids: [1] }, 422],
    [{ oids: ['HEAD'] }, 422],
    [{ oids: [`${id}\nHEAD`] }, 422],
    [null, 422],
    [[id], 422],
  ] as const) {
    for (const route of ['sizes', 'blobs']) {
      const answer = await post(server.url, `/api/v1/object/${route}`, body);
      expect([JSON.stringify(body), answer.status]).toEqual([JSON.stringify(body), status]);
      expect(answer.json()).toMatchObject({ req_result: false, data: null });
    }
  }
  const send = (body: string, type: string) =>
    ask(server.url, '/api/v1/object/sizes', { method: 'POST', headers: { 'content-type': type }, body });
  expect((await send('{"oids":', 'application/json')).status).toBe(400);
  expect((await send('', 'application/json')).status).toBe(400);
  expect((await send('{"oids":[]}', 'text/plain')).status).toBe(415);
  expect((await send('{"oids":[]}', 'application/vnd.x+json; charset=utf-8')).status).toBe(200);
  expect((await send(`{"oids":["${'a'.repeat(8_000_000)}"]}`, 'application/json')).status).toBe(413);
});

test('a tree comes by its id, byte for byte, and only a tree does', async () => {
  const id = await repository.git(['rev-parse', 'HEAD:folder']);
  const answer = await ask(server.url, `/api/v1/object/tree/${id}`);
  expect(answer.body).toEqual(await repository.gitBytes(['cat-file', 'tree', id]));
  expect(answer.headers['content-type']).toBe('application/octet-stream');
  for (const other of [IDS[0], repository.head, MISSING, 'HEAD', 'x']) {
    const refused = await ask(server.url, `/api/v1/object/tree/${other}`);
    expect([other, refused.status]).toEqual([other, 404]);
    expect(refused.json()).toMatchObject({ req_result: false, data: null });
  }
});

test('trees come with the sizes of their blobs, in order, and 1,001 of them are refused', async () => {
  const root = (await repository.git(['rev-parse', 'HEAD^{tree}'])).trim();
  const payload = await repository.gitBytes(['cat-file', 'tree', root]);
  const blobs = parseRawTree(payload).filter(isBlobEntry);
  const expected = await Promise.all(
    blobs.map(async ({ id }) => Number(await repository.git(['cat-file', '-s', id]))),
  );
  const sizes = packSizes(expected);
  const oids = [root, MISSING, repository.head, root];
  const answer = await post(server.url, '/api/v1/object/trees', { oids });
  expect(answer.headers['content-type']).toBe('application/octet-stream');
  const record = Buffer.concat([
    Buffer.from(`${root} tree ${payload.length} ${sizes.length}\n`),
    payload,
    sizes,
    Buffer.from('\n'),
  ]);
  const missing = Buffer.from(`${MISSING} missing\n${repository.head} missing\n`);
  expect(answer.body).toEqual(Buffer.concat([record, missing, record]));
  const tooMany = await post(server.url, '/api/v1/object/trees', { oids: Array(1001).fill(root) });
  expect(tooMany.status).toBe(413);
});

test('a blob that was pruned after its size was asked for is missing', async () => {
  const id = await repository.writeObject('blob', 'soon gone');
  const sizes = async (): Promise<unknown> =>
    (await post(server.url, '/api/v1/object/sizes', { oids: [id] })).json<Envelope<unknown>>().data;
  expect(await sizes()).toEqual({ sizes: [9] });
  await repository.git(['prune', '--expire=now']);
  expect((await ask(server.url, `/api/v1/file/blob/${id}`)).status).toBe(404);
  expect(await sizes()).toEqual({ sizes: [null] });
});

test('resolve names commit, time and tree of a path at once', async () => {
  await using own = await createGitRepository({ files: { 'a/b/c': '1' } });
  await using ownServer = await createMegaServer({ repo: own.path, port: 0 });
  const first = own.head;
  const second = await own.commit({ 'a/b/d': '2', file: 'f' });
  const resolve = (path: string, refs = '') =>
    dataOf(ownServer.url, `/api/v1/object/resolve?path=${path}&refs=${refs}`);
  for (const [path, refs, commit, time] of [
    ['/', '', second, FIRST_COMMIT_TIME + 60],
    ['/a/b', '', second, FIRST_COMMIT_TIME + 60],
    ['/a/b/', first, first, FIRST_COMMIT_TIME],
  ] as const) {
    const tree = await own.git(['rev-parse', `${commit}:${path.replace(/^\/|\/$/g, '')}`]);
    expect(await resolve(path, refs)).toEqual({ commit, time, tree });
  }
  expect((await ask(ownServer.url, '/api/v1/object/resolve?path=/none')).status).toBe(404);
  expect((await ask(ownServer.url, `/api/v1/object/resolve?path=/file&refs=${first}`)).status).toBe(404);
  expect((await ask(ownServer.url, '/api/v1/object/resolve?path=/file')).status).toBe(400);
});
