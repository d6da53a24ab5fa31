// A folder as one pack: from the embedded server, from one that speaks as Mega does, and from none.
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { parsePackProgress } from '../../../../src/git/fetch-pack.ts';
import { createMegaServer, type MegaServer } from '../../../../src/mega-server/mega-server.ts';
import { createLazyObjects, type LazyObjects } from '../../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../../src/objects/object-store.ts';
import { createMegaUpstream, type MegaUpstream } from '../../../../src/upstream/mega/mega-upstream.ts';
import { createGitRepository, type GitRepository } from '../../../support/git-repository.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';

const PASSWORD = 'secret-word';
const BIG = Buffer.alloc(600_000, 'scorpio ');
const SIGNAL = new AbortController().signal;

let repository: GitRepository;
let server: MegaServer;
let mega: Server;
let seen: { url: string; headers: IncomingHttpHeaders }[];
/** What the server in front does with requests for packs. */
let hangs: boolean;
let fails: boolean;
let folder: string;
let store: ObjectStore;
let upstream: MegaUpstream;
let objects: LazyObjects;

/** Mega's capabilities: no shallow clones. */
function likeMega(advertisement: string): string {
  return advertisement.replace(/^([0-9a-f]{4})([0-9a-f]{40} HEAD\0)[^\n]*\n/mu, (_line, _length, head) => {
    const line = `${head}multi_ack_detailed no-done include-tag side-band-64k ofs-delta agent=mega/0.1.0\n`;
    return (line.length + 4).toString(16).padStart(4, '0') + line;
  });
}

beforeAll(async () => {
  repository = await createGitRepository({ files: { 'a/old.txt': 'old\n' } });
  await repository.commit({ 'a/x.txt': 'x\n', 'a/b/big.bin': BIG, 'a/.github/y.txt': 'y\n', 'c.txt': 'c\n' });
  server = await createMegaServer({ repo: repository.path, port: 0 });
  mega = createServer((incoming, answer) => {
    const { url = '', headers, method } = incoming;
    seen.push({ url, headers });
    if (hangs && url.endsWith('/git-upload-pack')) return;
    if (fails && url.endsWith('/git-upload-pack')) {
      incoming.resume();
      answer.writeHead(500).end();
      return;
    }
    const onward = httpRequest(server.url + url, { method, headers }, (response) => {
      if (!url.includes('/info/refs')) {
        answer.writeHead(response.statusCode ?? 500, response.headers);
        response.pipe(answer);
        return;
      }
      let text = '';
      response.setEncoding('latin1').on('data', (piece: string) => (text += piece));
      response.on('end', () => {
        answer.writeHead(response.statusCode ?? 500, { 'content-type': response.headers['content-type'] });
        answer.end(Buffer.from(likeMega(text), 'latin1'));
      });
    });
    onward.on('error', () => answer.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => mega.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  mega?.closeAllConnections();
  mega?.close();
  await server?.close();
  await repository?.remove();
});

beforeEach(() => {
  seen = [];
  hangs = false;
  fails = false;
  folder = makeTestFolder();
  store = openObjectStore(join(folder, 'store'));
  connect(`http://user:${PASSWORD}@127.0.0.1:${(mega.address() as AddressInfo).port}`);
});

afterEach(async () => {
  await objects.close();
  await upstream.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

function connect(baseUrl: string): void {
  const limits = { connectTimeoutMs: 2000, requestTimeoutMs: 5000, maxAttempts: 1, concurrency: 4 };
  upstream = createMegaUpstream({ baseUrl, ...limits });
  objects = createLazyObjects({ store, upstream });
}

const idOf = (spec: string): Promise<string> => repository.git(['rev-parse', `HEAD:${spec}`]);
const leftovers = (): string[] => readdirSync(join(folder, 'store/tmp'));

describe('a pack', () => {
  test('comes from a server that cannot leave out the history, as Mega cannot', async () => {
    const progress: number[] = [];
    const pack = await objects.fetchSubtree('/a', {
      onProgress: ({ objects: count }) => progress.push(count),
    });
    const trees = [await idOf('a'), await idOf('a/b'), await idOf('a/.github')];
    const blobs = [await idOf('a/x.txt'), await idOf('a/b/big.bin')];
    const missing = 'f'.repeat(40);
    await pack.takeTrees([...trees, missing], SIGNAL);
    const taken: [string, number][] = [];
    await pack.takeBlobs([...blobs, missing, await idOf('c.txt')], (...blob) => taken.push(blob), SIGNAL);
    expect(trees.every((id) => store.hasTree(id))).toBe(true);
    expect(taken).toEqual([
      [blobs[0], 2],
      [blobs[1], BIG.length],
    ]);
    expect(blobs.every((id) => store.hasBlob(id))).toBe(true);
    expect(progress.at(-1)).toBeGreaterThan(5);
    await pack.close();
    expect(leftovers()).toEqual([]);
  });

  test('is asked for with the password of the URL', async () => {
    await (await objects.fetchSubtree('/a')).close();
    const basic = `Basic ${Buffer.from(`user:${PASSWORD}`).toString('base64')}`;
    expect(seen.filter(({ url }) => url.includes('/a.git/')).length).toBeGreaterThanOrEqual(3);
    for (const { headers } of seen) expect(headers.authorization).toBe(basic);
  });

  test('counts as received', async () => {
    const pack = await objects.fetchSubtree('/a');
    const [name = ''] = readdirSync(join(folder, 'store/tmp'), { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.pack'));
    const { size } = statSync(join(folder, 'store/tmp', name));
    expect(size).toBeGreaterThan(500);
    expect(upstream.counters.bytesReceived).toBeGreaterThan(size);
    expect(upstream.counters.bytesReceived).toBeLessThan(size + 2000);
    await pack.close();
  });

  test('comes whatever git is told elsewhere', async () => {
    const config = join(folder, 'gitconfig');
    writeFileSync(
      config,
      '[init]\n\tdefaultObjectFormat = sha256\n[http]\n\tproxy = http://127.0.0.1:1\n[fetch]\n\tfsckObjects = maybe\n',
    );
    vi.stubEnv('GIT_CONFIG_GLOBAL', config);
    vi.stubEnv('GIT_DEFAULT_HASH', 'sha256');
    vi.stubEnv('http_proxy', 'http://127.0.0.1:1');
    vi.stubEnv('GIT_DIR', folder);
    try {
      await (await objects.fetchSubtree('/a')).close();
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('of the whole repository comes from its own URL', async () => {
    const pack = await objects.fetchSubtree('/');
    expect(seen[0]?.url).toBe('/.git/info/refs?service=git-upload-pack');
    const taken: string[] = [];
    await pack.takeBlobs([await idOf('c.txt')], (id) => taken.push(id), SIGNAL);
    expect(taken).toHaveLength(1);
    await pack.close();
  });
});

describe('no pack, and nothing left behind', () => {
  test('where a path cannot be named, does not exist, or the server knows no Git', async () => {
    await expect(objects.fetchSubtree('/a/.github')).rejects.toMatchObject({ kind: 'refused' });
    expect(seen).toEqual([]);
    await expect(objects.fetchSubtree('/none')).rejects.toMatchObject({ kind: 'not-found' });
    expect(leftovers()).toEqual([]);
  });

  test('when the caller gives up, at once', async () => {
    hangs = true;
    const giveUp = new AbortController();
    const fetching = objects.fetchSubtree('/a', { signal: giveUp.signal });
    while (!seen.some(({ url }) => url.endsWith('/git-upload-pack'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    giveUp.abort();
    await expect(fetching).rejects.toMatchObject({ kind: 'aborted' });
    expect(leftovers()).toEqual([]);
  });

  test('when the store is closed under it', async () => {
    hangs = true;
    const fetching = objects.fetchSubtree('/a').catch((error: unknown) => error);
    while (!seen.some(({ url }) => url.endsWith('/git-upload-pack'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await objects.close();
    expect(await fetching).toMatchObject({ kind: 'aborted' });
    expect(leftovers()).toEqual([]);
  });

  test('and no password in the message, when git fails', async () => {
    fails = true;
    const failure = (await objects.fetchSubtree('/a').catch((error: unknown) => error)) as Error;
    expect(failure.message).toMatch(/^git fetch failed: .*500/);
    expect(failure.message).not.toContain(PASSWORD);
    expect(leftovers()).toEqual([]);
  });
});

test('what git prints is progress', () => {
  expect(parsePackProgress('remote: Counting objects: 100% (3/3), done.')).toBeUndefined();
  expect(parsePackProgress('Receiving objects:  45% (450/1000), 3.25 MiB | 1.00 MiB/s\r')).toEqual({
    objects: 450,
    totalObjects: 1000,
    bytes: 3.25 * 2 ** 20,
  });
  expect(parsePackProgress('Receiving objects:   1% (1/100)\rReceiving objects:   2% (2/100)\r')).toEqual({
    objects: 2,
    totalObjects: 100,
    bytes: 0,
  });
});
