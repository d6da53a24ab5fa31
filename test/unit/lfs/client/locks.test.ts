// The locking API: as the specification has it, and as Mega speaks it.
import { beforeEach, describe, expect, test } from 'vitest';
import { isWithoutLocks } from '../../../../src/lfs/client/locks.ts';
import type { LfsLocksClient } from '../../../../src/lfs/client/lfs-client.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import type { PlainLfs } from '../../../support/plain-lfs.ts';
import { serveLfs } from '../../mega-server/lfs/support.ts';
import { afterTest, makeClient, sendJson, startServer, useGitConfig } from './support.ts';
import type { Handler, ScriptedServer } from './support.ts';

beforeEach(() => useGitConfig());

const REF = 'refs/heads/main';

async function startMega(count = 0): Promise<{ readonly mega: PlainLfs; readonly locks: LfsLocksClient }> {
  const mega = await createPlainLfs();
  afterTest(() => mega.close());
  if (count > 0) {
    mega.locks.set(
      REF,
      Array.from({ length: count }, (_, index) => ({
        id: String(10_000_000 + index),
        path: `${index}.bin`,
        locked_at: '2026-01-01T00:00:00+00:00',
        owner: null,
      })),
    );
  }
  return { mega, locks: makeClient(mega.url).client.locks };
}

describe('Mega', () => {
  test('a lock is taken, listed without an owner, and released', async () => {
    const { mega, locks } = await startMega();
    const lock = await locks.lock('art/a b.bin');
    expect(lock).toMatchObject({ path: 'art/a b.bin', owner: undefined });
    expect(await locks.list()).toEqual([lock]);
    expect(await locks.list({ path: 'art/a b.bin' })).toEqual([lock]);
    expect(await locks.verify()).toEqual({ ours: [lock], theirs: [] });
    expect(await locks.unlock(lock.id, { force: false })).toEqual(lock);
    expect(mega.locks.get(REF)).toEqual([]);
  });

  test('its 500 for a duplicate is a conflict, which is not repeated, and tells of the lock', async () => {
    const { mega, locks } = await startMega();
    const first = await locks.lock('a.bin');
    await expect(locks.lock('a.bin')).rejects.toMatchObject({ kind: 'conflict' });
    await expect(locks.lock('a.bin')).rejects.toThrow(
      `a.bin is locked already since ${first.lockedAt} (lock ${first.id})`,
    );
    expect(
      mega.requests.filter((request) => request.startsWith('POST') && request.endsWith('/locks')),
    ).toHaveLength(3);
  });

  test('its 500 for an unknown id is a lock that is missing', async () => {
    const { locks } = await startMega();
    await expect(locks.unlock('12345678', { force: true })).rejects.toMatchObject({ kind: 'missing' });
  });

  test('a filter by id, which it does not heed, is kept here', async () => {
    const { locks } = await startMega(5);
    expect((await locks.list({ id: '10000003' })).map((lock) => lock.path)).toEqual(['3.bin']);
  });

  test.each([99, 100, 101, 102, 200, 201, 202, 301])('all of %i locks are found', async (count) => {
    const { locks } = await startMega(count);
    const all = Array.from({ length: count }, (_, index) => `${index}.bin`);
    expect((await locks.list()).map((lock) => lock.path)).toEqual(all);
    expect((await locks.verify()).ours.map((lock) => lock.path)).toEqual(all);
  });

  test('no more pages are asked for than are wanted', async () => {
    const { mega, locks } = await startMega(500);
    expect(await locks.list({ limit: 3 })).toHaveLength(3);
    expect(mega.requests.filter((request) => request.startsWith('GET'))).toHaveLength(1);
    expect(mega.requests.at(-1)).toContain(`refspec=${encodeURIComponent(REF)}`);
  });
});

describe('a server after the specification', () => {
  test('tells whose a lock is, refuses to release it, and lets it be taken away', async () => {
    await using served = await serveLfs({ users: { ann: 'a', bob: 'b' } });
    const ann = makeClient(served.url, { token: 'ann:a' }).client.locks;
    const bob = makeClient(served.url, { token: 'bob:b' }).client.locks;
    const lock = await ann.lock('a.bin');
    expect(lock.owner).toBe('ann');
    await expect(bob.lock('a.bin')).rejects.toThrow(`a.bin is locked already by ann`);
    expect(await bob.verify()).toEqual({ ours: [], theirs: [lock] });
    expect(await ann.verify()).toEqual({ ours: [lock], theirs: [] });
    await expect(bob.unlock(lock.id, { force: false })).rejects.toMatchObject({ kind: 'refused' });
    expect(await bob.unlock(lock.id, { force: true })).toMatchObject({ id: lock.id });
    await expect(ann.unlock(lock.id, { force: false })).rejects.toMatchObject({ kind: 'missing' });
  });

  test('exactly one of many at once gets the lock', async () => {
    await using served = await serveLfs();
    const { locks } = makeClient(served.url).client;
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => locks.lock('a.bin')));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ kind: 'conflict' });
    }
  });

  test('a lock whose answer was lost is found to be ours', async () => {
    await using served = await serveLfs({ users: { ann: 'a' } });
    const proxy = await createFaultProxy(served.url);
    afterTest(() => proxy.close());
    const { locks } = makeClient(proxy.url, { token: 'ann:a' }).client;
    proxy.inject({ kind: 'die', afterBytes: 3 }, { path: /\/locks$/u, method: 'POST', times: 1 });
    expect(await locks.lock('a.bin')).toMatchObject({ path: 'a.bin', owner: 'ann' });
  });
});

describe('answers', () => {
  /** A server whose batch route answers, and whose lock routes do what a test says. */
  async function serverOf(handler: Handler): Promise<{ server: ScriptedServer; locks: LfsLocksClient }> {
    const server = await startServer((request, response) => {
      if (request.url.endsWith('/objects/batch')) return sendJson(response, 200, { objects: [] });
      return handler(request, response);
    });
    return { server, locks: makeClient(server.url, { lfsUrl: `${server.url}/lfs` }).client.locks };
  }

  test.each([404, 405, 501])('the status %i says that there are no locks', async (status) => {
    const { locks } = await serverOf((_request, response) => void response.writeHead(status).end());
    for (const ask of [() => locks.list(), () => locks.verify(), () => locks.lock('a.bin')]) {
      const error: unknown = await ask().catch((thrown: unknown) => thrown);
      expect(isWithoutLocks(error)).toBe(true);
    }
    expect(isWithoutLocks(new Error('other'))).toBe(false);
  });

  test.each([
    ['null arrays', { locks: null, next_cursor: null }],
    ['no cursor', { locks: [] }],
    ['what is no lock', { locks: [1, {}, { id: '', path: 'x' }, { id: 'x' }] }],
  ])('%s are no locks', async (_name, body) => {
    const { locks } = await serverOf((_request, response) => sendJson(response, 200, body));
    expect(await locks.list()).toEqual([]);
  });

  test('numbers as ids, slashes in front, and missing times are put right', async () => {
    const lock = { id: 7, path: '/a.bin', owner: { name: '' } };
    const { locks } = await serverOf((_request, response) => sendJson(response, 200, { locks: [lock] }));
    expect(await locks.list()).toEqual([{ id: '7', path: 'a.bin', lockedAt: '', owner: undefined }]);
  });

  test('something else than a list is a wrong answer', async () => {
    const { locks } = await serverOf((_request, response) => sendJson(response, 200, { hello: 1 }));
    await expect(locks.list()).rejects.toMatchObject({ kind: 'server' });
  });

  test('a cursor that comes again ends the list', async () => {
    let pages = 0;
    const { locks } = await serverOf((_request, response) => {
      pages++;
      sendJson(response, 200, { locks: [{ id: String(pages), path: 'x' }], next_cursor: 'same' });
    });
    expect(await locks.list()).toHaveLength(2);
  });

  test('no right to lock is a refusal', async () => {
    const { locks } = await serverOf((_request, response) =>
      sendJson(response, 403, { message: 'read only' }),
    );
    await expect(locks.lock('a.bin')).rejects.toMatchObject({ kind: 'refused' });
  });

  test('a server that fails is asked again, and says of a lock nothing but that', async () => {
    const { server, locks } = await serverOf((_request, response) =>
      sendJson(response, 500, { message: 'db' }),
    );
    await expect(locks.lock('a.bin')).rejects.toMatchObject({ kind: 'server', status: 500 });
    expect(server.requests.filter((request) => request.url === '/lfs/locks')).toHaveLength(3);
  });
});
