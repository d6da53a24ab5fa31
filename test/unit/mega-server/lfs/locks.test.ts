// Locks over the embedded server: one winner, owners, pages, and what survives a restart.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LfsLocks } from '../../../../src/mega-server/lfs/locks.ts';
import { createMegaServer } from '../../../../src/mega-server/mega-server.ts';
import { ask } from '../support.ts';
import { basic, type LfsServed, serveLfs } from './support.ts';

interface Lock {
  readonly id: string;
  readonly path: string;
  readonly locked_at: string;
  readonly owner: { readonly name: string } | null;
}

interface LockList {
  readonly locks: readonly Lock[];
  readonly next_cursor: string;
}

const MAIN = { name: 'refs/heads/main' };
const ADA = basic('ada', 'x');
const BOB = basic('bob', 'x');

let served: LfsServed;

beforeEach(async () => {
  served = await serveLfs();
});
afterEach(() => served[Symbol.asyncDispose]());

async function lock(path: string, auth?: string, ref: object | null = MAIN): Promise<Lock> {
  const body = ref === null ? { path } : { path, ref };
  const answer = await served.post('/locks', body, auth === undefined ? {} : { auth });
  expect(answer.status).toBe(201);
  return answer.json<{ lock: Lock }>().lock;
}

async function list(query = ''): Promise<LockList> {
  const answer = await ask(served.url, `/info/lfs/locks${query}`);
  expect(answer.status).toBe(200);
  return answer.json<LockList>();
}

const pathsOf = (locks: readonly Lock[]): string[] => locks.map(({ path }) => path);

test('a lock has an owner where the client says a name, and is null where not', async () => {
  const own = await lock('a.bin', ADA);
  expect([own.path, own.owner, Math.abs(Date.parse(own.locked_at) - Date.now()) < 60_000]).toEqual([
    'a.bin',
    { name: 'ada' },
    true,
  ]);
  expect((await lock('b.bin')).owner).toBe(null);
  expect(pathsOf((await list()).locks)).toEqual(['a.bin', 'b.bin']);
});

test('of many who lock a path at once, exactly one does, and the others are shown its lock', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      served.post('/locks', { path: 'a.bin', ref: MAIN }, { auth: basic(`user${index}`, 'x') }),
    ),
  );
  const won = answers.filter(({ status }) => status === 201);
  const lost = answers.filter(({ status }) => status === 409);
  expect([won.length, lost.length]).toEqual([1, 19]);
  const winner = won[0]?.json<{ lock: Lock }>().lock;
  for (const answer of lost) {
    expect(answer.json()).toEqual({ message: 'the path is locked already', lock: winner });
  }
});

test('two servers of the same folder give a path out once', async () => {
  await using other = await createMegaServer({
    repo: served.server.gitDirectory,
    port: 0,
    lfs: { root: served.root },
  });
  const create = (base: string, path: string) =>
    ask(base, '/locks', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ path }),
    });
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all([served.url, other.url].map((url) => create(url, `${round}.bin`)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 409]));
  }
  expect((await list()).locks).toHaveLength(5);
});

test('branches have locks apart; one without a branch holds for all', async () => {
  await lock('a.bin');
  await lock('a.bin', undefined, { name: 'refs/heads/other' });
  await lock('b.bin', undefined, null);
  expect((await served.post('/locks', { path: 'b.bin', ref: MAIN })).status).toBe(409);
  expect(pathsOf((await list('?refspec=refs%2Fheads%2Fother')).locks)).toEqual(['a.bin', 'b.bin']);
  expect((await list()).locks).toHaveLength(3);
});

test('a list comes in pages, by path, and by id', async () => {
  const ids: string[] = [];
  for (const name of ['a b.bin', 'b.bin', 'ü.bin', 'd.bin', 'e.bin']) ids.push((await lock(name)).id);
  const seen: string[] = [];
  let cursor = '';
  do {
    const page = await list(`?limit=2&cursor=${cursor}`);
    seen.push(...page.locks.map(({ id }) => id));
    // What was on a page may go before the next one is asked for.
    if (cursor === '') await served.post(`/locks/${ids[1]}/unlock`, { force: false });
    cursor = page.next_cursor;
  } while (cursor !== '');
  expect(seen).toEqual(ids);
  expect(pathsOf((await list('?path=%C3%BC.bin')).locks)).toEqual(['ü.bin']);
  expect(pathsOf((await list(`?id=${ids[3]}`)).locks)).toEqual(['d.bin']);
  expect((await list('?id=none')).locks).toEqual([]);
  expect((await ask(served.url, '/locks?limit=many')).status).toBe(400);
});

test('verify tells the own locks from those of others; one without an owner is everybody’s', async () => {
  await lock('ada.bin', ADA);
  await lock('bob.bin', BOB);
  await lock('nobody.bin');
  const verify = async (auth?: string) => {
    const answer = await served.post('/locks/verify', { ref: MAIN }, auth === undefined ? {} : { auth });
    const { ours, theirs } = answer.json<{ ours: Lock[]; theirs: Lock[] }>();
    return [pathsOf(ours), pathsOf(theirs)];
  };
  expect(await verify(ADA)).toEqual([['ada.bin', 'nobody.bin'], ['bob.bin']]);
  expect(await verify()).toEqual([['nobody.bin'], ['ada.bin', 'bob.bin']]);
});

test('another’s lock needs force; an unknown one is not found', async () => {
  const { id } = await lock('a.bin', ADA);
  const unlock = (body: object, auth: string) => served.post(`/locks/${id}/unlock`, body, { auth });
  expect((await unlock({}, BOB)).status).toBe(403);
  const forced = await unlock({ force: true }, BOB);
  expect([forced.status, forced.json<{ lock: Lock }>().lock.id]).toEqual([200, id]);
  expect((await unlock({}, ADA)).status).toBe(404);
});

test('a path must be one from the root', async () => {
  for (const path of ['', '/a', 'a/../b', 'a//b', './a', 'a/', 'a\0b', 7, undefined]) {
    expect((await served.post('/locks', { path })).status).toBe(422);
  }
  expect((await served.post('/locks', { path: 'a', ref: 'main' })).status).toBe(422);
});

test('a damaged list is an error that names the file, not one without locks', async () => {
  const file = join(served.root, 'server-locks.json');
  mkdirSync(served.root, { recursive: true });
  for (const text of ['', 'null', '{"locks":{}}', '[']) {
    writeFileSync(file, text);
    expect((await ask(served.url, '/info/lfs/locks')).status).toBe(500);
    expect((await served.post('/locks', { path: 'a.bin', ref: MAIN })).status).toBe(500);
    await expect(new LfsLocks(file).list({}, 0)).rejects.toThrow(`${file} is damaged`);
  }
  rmSync(file);
  await lock('a.bin');
});

test('locks survive a restart', async () => {
  await lock('a.bin', ADA);
  await using again = await createMegaServer({
    repo: served.server.gitDirectory,
    port: 0,
    lfs: { root: served.root },
  });
  const answer = await ask(again.url, '/locks');
  expect(pathsOf(answer.json<LockList>().locks)).toEqual(['a.bin']);
});
