// Locks of a mount: whose they are, where the server says so and where it does not, and what is kept of them.
import { rmSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { createLfsClient } from '../../../../src/lfs/client/create-lfs-client.ts';
import type { LfsLocksClient, VerifiedLocks } from '../../../../src/lfs/client/lfs-client.ts';
import { createLockService } from '../../../../src/mount/lfs/lock-service.ts';
import type { LockService } from '../../../../src/mount/lfs/lock-service.ts';
import { createOwnLocks } from '../../../../src/mount/lfs/own-locks.ts';
import { createLogger } from '../../../../src/util/logger.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import type { PlainLfs } from '../../../support/plain-lfs.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';
import { serveLfs } from '../../mega-server/lfs/support.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
/** For what happens soon, on a busy machine too. */
const WAIT = { timeout: 20_000 };
const never = new AbortController().signal;

interface Made {
  readonly service: LockService;
  readonly changed: string[][];
  readonly logged: string[];
}

function makeService(
  url: string,
  options: { path?: string; token?: string; folder?: string; refreshMs?: number } = {},
): Made {
  const client = createLfsClient({
    baseUrl: url,
    path: options.path ?? '/project',
    token: options.token,
    connectTimeoutMs: 20_000,
    silenceTimeoutMs: 20_000,
    maxAttempts: 2,
    concurrency: 1,
  });
  const folder = options.folder ?? stateFolder();
  const changed: string[][] = [];
  const logged: string[] = [];
  const service = createLockService({
    repositoryPath: options.path ?? '/project',
    client: () => Promise.resolve(client),
    ownLocks: createOwnLocks(folder),
    hasFile: (path) => Promise.resolve(path.includes('.')),
    refreshMs: options.refreshMs ?? 0,
    log: createLogger('info', (line) => logged.push(line)),
    onChange: (paths) => changed.push([...paths]),
  });
  cleanups.push(async () => {
    await service.close();
    await client.close();
  });
  return { service, changed, logged };
}

function stateFolder(): string {
  const folder = makeTestFolder();
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startMega(): Promise<PlainLfs> {
  const mega = await createPlainLfs();
  cleanups.push(() => mega.close());
  return mega;
}

const pathsOnServer = (mega: PlainLfs): string[] =>
  (mega.locks.get('refs/heads/main') ?? []).map((lock) => lock.path);

test('a lock is taken under the path in the monorepo, and known at once', async () => {
  const mega = await startMega();
  const { service, changed } = makeService(mega.url);
  const [result] = await service.lock(['/art/ü.bin'], never);
  expect(result).toMatchObject({ path: 'art/ü.bin', error: undefined, lock: { path: 'project/art/ü.bin' } });
  expect(pathsOnServer(mega)).toEqual(['project/art/ü.bin']);
  const latin1 = Buffer.from('art/ü.bin').toString('latin1');
  expect(service.lockedBy(latin1)).toMatchObject({ owner: '', isOurs: true });
  expect(changed.flat()).toContain(latin1);
  await service.refresh();
  expect(service.lockedBy(latin1)).toMatchObject({ isOurs: true });
});

test('a lock of a server without owners is ours only where it was taken, also after a restart', async () => {
  const mega = await startMega();
  const folder = stateFolder();
  const mine = makeService(mega.url, { folder });
  await mine.service.lock(['a.bin'], never);
  const others = makeService(mega.url);
  await others.service.refresh();
  expect(others.service.lockedBy('a.bin')).toMatchObject({ owner: '', isOurs: false });
  expect(others.service.hasOthers).toBe(true);
  const again = makeService(mega.url, { folder });
  const verified = await again.service.verifyLocks(never);
  expect(verified.ours.map((lock) => lock.path)).toEqual(['project/a.bin']);
  expect(verified.theirs).toEqual([]);
});

test('a lock of nobody knows whom is released with force only', async () => {
  const mega = await startMega();
  await makeService(mega.url).service.lock(['a.bin'], never);
  const { service } = makeService(mega.url);
  const [refused] = await service.unlock({ paths: ['a.bin'], force: false }, never);
  expect(refused?.error).toContain('--force');
  expect(pathsOnServer(mega)).toEqual(['project/a.bin']);
  const [released] = await service.unlock({ paths: ['a.bin'], force: true }, never);
  expect(released).toMatchObject({ error: undefined, lock: { path: 'project/a.bin' } });
  expect(pathsOnServer(mega)).toEqual([]);
});

test('our lock is released by path or by id, and is forgotten', async () => {
  const mega = await startMega();
  const { service } = makeService(mega.url);
  const results = await service.lock(['a.bin', 'b.bin'], never);
  await service.unlock({ paths: ['a.bin'], force: false }, never);
  const id = results[1]?.lock?.id;
  const [byId] = await service.unlock({ paths: [], id, force: false }, never);
  expect(byId).toMatchObject({ path: 'b.bin', error: undefined });
  expect(pathsOnServer(mega)).toEqual([]);
  expect(service.isEmpty).toBe(true);
  const [gone] = await service.unlock({ paths: ['a.bin'], force: false }, never);
  expect(gone?.error).toBe('a.bin is not locked');
});

test('a duplicate is a conflict that names the lock, for its path alone', async () => {
  const mega = await startMega();
  await makeService(mega.url).service.lock(['a.bin'], never);
  const { service } = makeService(mega.url);
  const [taken, free] = await service.lock(['a.bin', 'b.bin'], never);
  expect(taken?.error).toMatch(/project\/a\.bin is locked already since .* \(lock \d{8}\)/u);
  expect(free?.lock?.path).toBe('project/b.bin');
});

test('a lock by a path from the root of the mount counts, as git-lfs in a clone of the folder takes it', async () => {
  const mega = await startMega();
  await makeService(mega.url, { path: '/' }).service.lock(['art/a.bin', 'project/b.bin'], never);
  const { service } = makeService(mega.url);
  await service.refresh();
  expect(service.lockedBy('art/a.bin')).toMatchObject({ isOurs: false });
  expect(service.lockedBy('b.bin')).toMatchObject({ isOurs: false });
  expect(await service.locks({ path: 'art/a.bin' }, never)).toMatchObject([{ path: 'art/a.bin' }]);
});

test('a server that names owners tells whose a lock is', async () => {
  await using served = await serveLfs({ users: { ann: 'a', bob: 'b' } });
  const ann = makeService(served.url, { token: 'ann:a' });
  const bob = makeService(served.url, { token: 'bob:b' });
  await ann.service.lock(['a.bin'], never);
  await bob.service.refresh();
  expect(bob.service.lockedBy('a.bin')).toMatchObject({ owner: 'ann', isOurs: false });
  const [taken] = await bob.service.lock(['a.bin'], never);
  expect(taken?.error).toContain('is locked already by ann');
  const [refused] = await bob.service.unlock({ paths: ['a.bin'], force: false }, never);
  expect(refused?.error).toMatch(/403/u);
  const elsewhere = makeService(served.url, { token: 'ann:a' });
  await elsewhere.service.refresh();
  expect(elsewhere.service.lockedBy('a.bin')).toMatchObject({ owner: 'ann', isOurs: true });
});

test('locks are refreshed in the background, and a change is told', async () => {
  const mega = await startMega();
  const { service, changed } = makeService(mega.url, { refreshMs: 20 });
  service.start();
  await makeService(mega.url).service.lock(['a.bin'], never);
  await vi.waitFor(() => expect(service.lockedBy('a.bin')).toMatchObject({ isOurs: false }), WAIT);
  mega.locks.clear();
  await vi.waitFor(() => expect(service.isEmpty).toBe(true), WAIT);
  expect(changed.flat().filter((path) => path === 'a.bin')).toHaveLength(2);
});

test('a server that is away is told of once, and what was known of locks stays', async () => {
  const mega = await startMega();
  const { service, logged } = makeService(mega.url, { refreshMs: 10 });
  await service.lock(['a.bin'], never);
  await mega.close();
  service.start();
  await vi.waitFor(() => expect(logged.join('')).toContain('the locks of large files are not known'), WAIT);
  expect(service.lockedBy('a.bin')).toMatchObject({ isOurs: true });
  await expect(service.locks({}, never)).rejects.toMatchObject({ kind: 'upstream' });
  expect(await service.locks({ isCached: true }, never)).toMatchObject([{ path: 'project/a.bin' }]);
  expect(logged.filter((line) => line.includes('not known'))).toHaveLength(1);
});

test('a lock that was asked for is ours although the caller went away, and no other is asked for', async () => {
  const mega = await startMega();
  const proxy = await createFaultProxy(mega.url);
  cleanups.push(() => proxy.close());
  const { service } = makeService(proxy.url);
  await service.refresh();
  proxy.inject({ kind: 'latency', ms: 300 }, { path: /\/locks$/u, method: 'POST' });
  const leaving = new AbortController();
  const paths = Array.from({ length: 8 }, (_, index) => `${index}.bin`);
  const locking = service.lock(paths, leaving.signal).catch((error: unknown) => error);
  await vi.waitFor(() => expect(proxy.count(/\/locks$/u, 'POST')).toBe(4), WAIT);
  leaving.abort(new Error('the client went away'));
  expect(await locking).toBeInstanceOf(Error);
  await vi.waitFor(() => expect(pathsOnServer(mega)).toHaveLength(4), WAIT);
  await service.refresh();
  for (const path of paths.slice(0, 4)) expect(service.lockedBy(path)).toMatchObject({ isOurs: true });
  expect(pathsOnServer(mega)).toHaveLength(4);
});

test('an answer that was asked for earlier, and comes later, changes nothing', async () => {
  const answers: ((locks: VerifiedLocks) => void)[] = [];
  const lock = { id: '1', path: 'project/a.bin', lockedAt: '', owner: 'me' };
  const locks = {
    verify: () => new Promise<VerifiedLocks>((resolve) => answers.push(resolve)),
  } as unknown as LfsLocksClient;
  const service = createLockService({
    repositoryPath: '/project',
    client: () => Promise.resolve({ url: 'http://127.0.0.1:1', locks }),
    ownLocks: createOwnLocks(stateFolder()),
    hasFile: () => Promise.resolve(true),
    refreshMs: 0,
    log: createLogger('off'),
    onChange: () => undefined,
  });
  cleanups.push(() => service.close());
  const first = service.verifyLocks(never);
  await vi.waitFor(() => expect(answers).toHaveLength(1), WAIT);
  const second = service.verifyLocks(never);
  await vi.waitFor(() => expect(answers).toHaveLength(2), WAIT);
  answers[1]?.({ ours: [lock], theirs: [] });
  await second;
  answers[0]?.({ ours: [], theirs: [] });
  await first;
  expect(service.lockedBy('a.bin')).toMatchObject({ isOurs: true });
});

test('a folder, and what is not there, is not locked', async () => {
  const mega = await startMega();
  const [folder, file] = await makeService(mega.url).service.lock(['art', 'a.bin'], never);
  expect(folder).toMatchObject({
    lock: undefined,
    error: expect.stringContaining('the mount has no file art'),
  });
  expect(file?.error).toBeUndefined();
  expect(pathsOnServer(mega)).toEqual(['project/a.bin']);
});

test('a path that leads out of the mount is refused', async () => {
  const mega = await startMega();
  const { service } = makeService(mega.url);
  await expect(service.lock(['../other/a.bin'], never)).rejects.toMatchObject({ kind: 'invalid' });
  expect(mega.requests).toEqual([]);
});
