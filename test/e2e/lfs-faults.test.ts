// What programs in a mount see of large files when the LFS server is slow, breaks off, refuses, or sends what is wrong.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMegaServer, type MegaServer } from '../../src/mega-server/mega-server.ts';
import type { FaultAction, FaultMatch } from '../support/fault-proxy.ts';
import { lfsObjectPath, lfsOid, lfsPointerTo, noise, storeLfsObject } from '../support/lfs-repository.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const BIG = noise(3_000_000, 'big');
const SMALL = noise(2000, 'small');
const LOST = 'the server has lost it';
const ATTRIBUTES = '*.bin filter=lfs diff=lfs merge=lfs -text\n';

const BATCH: FaultMatch = { path: /\/objects\/batch/ };
const OBJECT: FaultMatch = { path: /\/objects\/[0-9a-f]{64}/, method: 'GET' };
const ONCE = { times: 1 };

/** Each meets one request of a file of its own. */
const PASSING: readonly (readonly [string, FaultAction, FaultMatch])[] = [
  ['a slow batch call', { kind: 'latency', ms: 300 }, BATCH],
  ['a slow object', { kind: 'latency', ms: 300 }, OBJECT],
  ['a batch call that breaks off', { kind: 'close' }, BATCH],
  ['a connection that is reset', { kind: 'close', reset: true }, OBJECT],
  ['a connection that breaks in the middle', { kind: 'die', afterBytes: 100_000 }, OBJECT],
  ['429 of a batch call', { kind: 'status', status: 429, retryAfter: '1' }, BATCH],
  ['429 of an object', { kind: 'status', status: 429, retryAfter: '1' }, OBJECT],
  ['500 of a batch call', { kind: 'status', status: 500 }, BATCH],
  ['503 of an object', { kind: 'status', status: 503 }, OBJECT],
  ['a body that ends too early', { kind: 'truncate', keepBytes: 100_000 }, OBJECT],
  ['wrong bytes', { kind: 'corrupt', at: 199_999 }, OBJECT],
];
const passingPath = (index: number): string => `passing/${index + 10}/file.bin`;
const passingContent = (index: number): Buffer => noise(200_000, `passing ${index}`);

const served = useServedStage({
  ...Object.fromEntries(
    PASSING.map((_fault, index) => [passingPath(index), lfsPointerTo(passingContent(index))]),
  ),
  '.gitattributes': ATTRIBUTES,
  'big.bin': lfsPointerTo(BIG),
  'sub/small.bin': lfsPointerTo(SMALL),
  'lost.bin': lfsPointerTo(LOST),
});

let stage: Stage;
let point: string;
let another: MegaServer | undefined;

beforeAll(() => {
  for (const content of [BIG, SMALL, ...PASSING.map((_fault, index) => passingContent(index))])
    storeLfsObject(join(served.repository.path, 'lfs'), content);
});
beforeEach(() => {
  stage = served.stage;
  point = stage.path('mnt');
});
afterEach(async () => {
  await another?.close();
  another = undefined;
});

async function mount(keys: Readonly<Record<string, string | number>> = {}): Promise<void> {
  stage.configure({ base_url: served.proxy.url, ...keys });
  await stage.succeed('mount', '/', point);
}

/** Reads a file of the mount as another process; `sha` is of what it got. */
async function read(path: string): Promise<ProgramResult & { readonly sha: string }> {
  const script = 'cat "$1" > "$2"';
  const target = stage.path('read');
  const result = await runProgram('bash', ['-c', script, 'bash', join(point, path), target]);
  return { ...result, sha: lfsOid(readFileSync(target)) };
}

const whole = (content: Buffer): object => ({ code: 0, stderr: '', sha: lfsOid(content) });

/** The store has the object, and nothing that is not what its name says. */
function expectCleanStore(): void {
  for (const entry of readdirSync(stage.path('store/lfs/objects'), {
    recursive: true,
    withFileTypes: true,
  })) {
    if (!entry.isFile()) continue;
    expect(lfsOid(readFileSync(join(entry.parentPath, entry.name)))).toBe(entry.name);
  }
}

const failures = async (): Promise<readonly { path: string; oid: string; reason: string }[]> => {
  const status = JSON.parse(
    await stage.succeed('lfs', 'status', '--json', '--no-wait', '--mount', point),
  ) as {
    failures: { path: string; oid: string; reason: string }[];
  };
  return status.failures;
};

test('a fault that passes is not seen', async () => {
  await mount();
  // From the last to the first: who goes forward is gone ahead of, and another file would meet the fault.
  for (const [index, [what, action, match]] of [...PASSING.entries()].reverse()) {
    const heal = served.proxy.inject(action, { ...match, ...ONCE });
    served.proxy.reset();
    const got = await read(passingPath(index));
    expect([what, got]).toEqual([what, expect.objectContaining(whole(passingContent(index)))]);
    const met = served.proxy.requests.filter(({ url }) => (match.path as RegExp).test(url)).length;
    expect([what, met]).toEqual([what, action.kind === 'latency' ? 1 : 2]);
    heal();
  }
  expectCleanStore();
}, 120_000);

test('what came before a connection broke is not sent again', async () => {
  await mount();
  served.proxy.inject({ kind: 'die', afterBytes: 2_000_000 }, { ...OBJECT, ...ONCE });
  served.proxy.reset();
  expect(await read('big.bin')).toMatchObject(whole(BIG));
  const sent = served.proxy.requests.filter(({ url }) => /\/objects\/[0-9a-f]{64}/.test(url));
  expect(sent.at(-1)?.status).toBe(206);
  expect(sent.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(BIG.length + 500_000);
});

test('an action that has expired is asked for again', async () => {
  another = await createMegaServer({
    repo: served.repository.path,
    port: 0,
    lfs: { linkSeconds: 2 },
  });
  served.proxy.retarget(another.url);
  try {
    await mount();
    expect(await read('sub/small.bin')).toMatchObject(whole(SMALL));
    // As when the clocks differ: the client thinks the action good.
    served.proxy.inject(
      { kind: 'status', status: 403, body: '{"message":"expired"}' },
      { ...OBJECT, ...ONCE },
    );
    served.proxy.reset();
    expect(await read('big.bin')).toMatchObject(whole(BIG));
    expect(served.proxy.count('/objects/batch')).toBeGreaterThan(1);
  } finally {
    served.proxy.retarget(served.serverUrl);
  }
});

test('a redirect to another host is followed, without the credentials', async () => {
  const seen: IncomingHttpHeaders[] = [];
  const other = createServer((request, response) => {
    seen.push(request.headers);
    response.end(BIG);
  }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  another = await createMegaServer({
    repo: served.repository.path,
    port: 0,
    lfs: { users: { ada: 'secret' } },
  });
  served.proxy.retarget(another.url);
  try {
    const location = `http://localhost:${(other.address() as AddressInfo).port}/elsewhere`;
    served.proxy.inject({ kind: 'status', status: 307, headers: { location } }, OBJECT);
    const { host } = new URL(served.proxy.url);
    await mount({ lfs_url: `http://ada:secret@${host}/info/lfs` });
    expect(await read('big.bin')).toMatchObject(whole(BIG));
    const sent = served.proxy.requests.find(({ url }) => /\/objects\/[0-9a-f]{64}/.test(url));
    expect(sent?.headers.authorization).toBeDefined();
    expect(seen.length).toBeGreaterThan(0);
    for (const headers of seen) expect(headers.authorization).toBe(undefined);
    expect(stage.log()).not.toContain('secret');
  } finally {
    other.close();
    served.proxy.retarget(served.serverUrl);
  }
});

describe('a fault that stays is told', () => {
  test.each<[string, FaultAction, FaultMatch, string]>([
    ['wrong bytes', { kind: 'corrupt', at: 1000 }, OBJECT, 'Input/output error'],
    ['no right to the object', { kind: 'status', status: 403 }, OBJECT, 'Permission denied'],
    ['no right to ask', { kind: 'status', status: 401 }, BATCH, 'Permission denied'],
    ['an object that is gone', { kind: 'status', status: 404 }, OBJECT, 'No data available'],
  ])('%s', async (_name, action, match, message) => {
    await mount();
    served.proxy.inject(action, match);
    const refused = await read('sub/small.bin');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(message)]);
    const listed = await runProgram('stat', ['-c', '%s', join(point, 'sub/small.bin')]);
    expect(listed.stdout).toBe(`${SMALL.length}\n`);
    const [failure] = await failures();
    expect(failure).toMatchObject({ path: expect.stringContaining('sub/small.bin'), oid: lfsOid(SMALL) });
    expect(stage.log()).toContain('sub/small.bin');
    expect(stage.log()).toContain(lfsOid(SMALL));
    expect(existsSync(lfsObjectPath(stage.path('store/lfs'), lfsOid(SMALL)))).toBe(false);
    served.proxy.heal();
    await expect.poll(() => read('sub/small.bin'), { timeout: 30_000 }).toMatchObject(whole(SMALL));
  });

  test('an object that the server does not have', async () => {
    await mount();
    expect(await read('lost.bin')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No data available'),
    });
    expect(await failures()).toMatchObject([
      { path: expect.stringContaining('lost.bin'), oid: lfsOid(LOST) },
    ]);
  });

  test('a server that is away', async () => {
    await mount();
    // What the kernel and the mount know of the folder, but nothing of the content.
    await runProgram('ls', ['-lR', point]);
    await served.proxy.stop();
    expect(await read('big.bin')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No route to host'),
    });
    await served.proxy.start();
    await expect.poll(() => read('big.bin'), { timeout: 30_000 }).toMatchObject(whole(BIG));
  });
});
