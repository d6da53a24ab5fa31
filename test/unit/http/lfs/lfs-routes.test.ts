// The routes of large files over a fake mount: what they ask of it, what they answer, what they refuse.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MountError } from '../../../../src/mount/mount-error.ts';
import { lockOf } from '../../../support/fake-mount-lfs.ts';
import { createHttpFixture, type Answer, type HttpFixture } from '../http-fixture.ts';

let http: HttpFixture;
let id: string;
let url: string;

beforeEach(async () => {
  http = await createHttpFixture();
  const { json } = await http.ask('POST', '/antares/mounts', { path: '/project/game' });
  id = (json as { mount_id: string }).mount_id;
  url = `/antares/mounts/${id}/lfs`;
});
afterEach(() => http.close());

const asked = (): unknown => http.lfs.asked.at(-1);

describe('status', () => {
  test('tells all that is known, null where nothing is', async () => {
    http.lfs.answer = {
      ...http.lfs.answer,
      files: [
        {
          path: 'a.bin',
          change: 'renamed',
          from: 'b.bin',
          isLfs: true,
          size: 5,
          oldSize: 5,
          oldOid: 'a'.repeat(64),
          oid: undefined,
          isUploaded: undefined,
          lockedBy: '',
        },
      ],
      hashing: 1,
      failures: [{ oid: 'b'.repeat(64), size: 9, path: 'c.bin', reason: 'gone', atMs: 7 }],
      transfers: [{ oid: 'c'.repeat(64), path: 'd.bin', size: 9, bytes: 4, readers: 2 }],
      activeFolders: ['assets'],
    };
    const { status, json } = await http.ask('GET', `${url}?path=a&path=b/c&wait_for_hashes=true`);
    expect(status).toBe(200);
    expect(json).toEqual({
      server: 'http://lfs.example/info/lfs',
      server_problem: null,
      files: [
        {
          path: 'a.bin',
          change: 'renamed',
          from: 'b.bin',
          lfs: true,
          size: 5,
          old_size: 5,
          old_oid: 'a'.repeat(64),
          oid: null,
          uploaded: null,
          locked_by: '',
        },
      ],
      hashing: 1,
      transfers: [{ oid: 'c'.repeat(64), path: 'd.bin', size: 9, bytes: 4, readers: 2 }],
      failures: [{ oid: 'b'.repeat(64), path: 'c.bin', reason: 'gone', at_epoch_ms: 7 }],
      active_folders: ['assets'],
    });
    expect(asked()).toEqual(['status', { paths: ['a', 'b/c'] }, { waitForHashes: true, askServer: false }]);
  });

  test('takes paths in a body, too, each once', async () => {
    await http.ask('POST', `${url}/status`, { paths: ['x', 'y', 'x'], ask_server: true });
    expect(asked()).toEqual(['status', { paths: ['x', 'y'] }, { waitForHashes: false, askServer: true }]);
  });
});

describe('runs', () => {
  test.each([
    ['checkout', ['fetch', { paths: ['a'] }, { activate: true }]],
    ['fetch', ['fetch', { paths: ['a'] }, { activate: false }]],
    ['push', ['push', { paths: ['a'] }]],
  ])('%s begins a task, and says where to look', async (kind, expected) => {
    const { status, headers, json } = await http.ask('POST', `${url}/${kind}`, { paths: ['a'] });
    const task = json as { task_id: string };
    expect(status).toBe(202);
    expect(headers['location']).toBe(`/antares/lfs/tasks/${task.task_id}`);
    expect(json).toMatchObject({ kind, mount_id: id, state: 'running', report: null });
    expect(asked()).toEqual(expected);
    expect((await http.ask('GET', `/antares/lfs/tasks/${task.task_id}`)).json).toMatchObject({
      paths: ['a'],
    });
  });

  test('without a body they are about all of the mount', async () => {
    expect((await http.ask('POST', `${url}/fetch`)).status).toBe(202);
    expect(asked()).toEqual(['fetch', { paths: [] }, { activate: false }]);
  });

  test('checkout is taken back', async () => {
    http.lfs.active = ['b'];
    const { status, json } = await http.ask('DELETE', `${url}/checkout`, { paths: ['a'] });
    expect({ status, json }).toEqual({ status: 200, json: { active_folders: ['b'] } });
    await http.ask('DELETE', `${url}/checkout?path=x`);
    expect(asked()).toEqual(['deactivate', { paths: ['x'] }]);
  });

  test('prune and dedup concern all mounts', async () => {
    expect((await http.ask('POST', '/antares/lfs/prune')).json).toMatchObject({ mount_id: null });
    expect(asked()).toEqual(['prune', { dryRun: false, verifyRemote: true }]);
    await http.ask('POST', '/antares/lfs/prune', { dry_run: true, verify_remote: false });
    expect(asked()).toEqual(['prune', { dryRun: true, verifyRemote: false }]);
    await http.ask('POST', '/antares/lfs/dedup', { repositories: ['/r'] });
    expect(asked()).toEqual(['dedup', ['/r']]);
  });

  test('a host that keeps no large files says so', async () => {
    http.host.lfsCare = undefined;
    expect(await http.ask('POST', '/antares/lfs/prune')).toMatchObject({
      status: 501,
      json: { code: 'UNSUPPORTED' },
    });
  });
});

describe('locks', () => {
  test('are made, listed, verified and given up', async () => {
    const made = await http.ask('POST', `${url}/locks`, { paths: ['a.bin', 'b.bin'] });
    const lock = { id: 'id-a.bin', path: 'a.bin', locked_at: '2026-11-21T18:00:00Z', owner: 'alice' };
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({ results: [{ path: 'a.bin', lock, error: null }, { path: 'b.bin' }] });
    const list = await http.ask('GET', `${url}/locks?path=a.bin&id=7&limit=3&cached=true`);
    expect(list.json).toEqual({ locks: [lock] });
    expect(asked()).toEqual(['locks', { path: 'a.bin', id: '7', limit: 3, isCached: true }]);
    expect((await http.ask('POST', `${url}/locks/verify`)).json).toMatchObject({
      ours: [lock, {}],
      theirs: [{ path: 'other.bin', owner: null }],
    });
    const gone = await http.ask('DELETE', `${url}/locks/id-a.bin?force=true`);
    expect(gone).toMatchObject({ status: 200, json: { results: [{ path: 'a.bin', error: null }] } });
    expect(asked()).toEqual(['unlock', { paths: [], id: 'id-a.bin', force: true }]);
    await http.ask('DELETE', `${url}/locks`, { paths: ['b.bin'], force: true });
    expect(asked()).toEqual(['unlock', { paths: ['b.bin'], force: true }]);
  });

  test('one that somebody has is a conflict, and the results tell which', async () => {
    http.lfs.held.set('a.bin', lockOf('a.bin', 'bob'));
    expect(await http.ask('POST', `${url}/locks`, { paths: ['a.bin', 'b.bin'] })).toMatchObject({
      status: 409,
      json: {
        error: 'a.bin is locked by bob',
        code: 'CONFLICT',
        results: [
          { path: 'a.bin', error: 'a.bin is locked by bob' },
          { path: 'b.bin', error: null },
        ],
      },
    });
  });
});

describe('failures', () => {
  test.each([
    ['invalid', 400, 'INVALID_REQUEST'],
    ['not-found', 400, 'INVALID_REQUEST'],
    ['upstream', 502, 'LFS_SERVER_ERROR'],
    ['internal', 500, 'INTERNAL_ERROR'],
  ] as const)('of kind %s are answered with %i', async (kind, status, code) => {
    http.lfs.error = new MountError(kind, 'what happened');
    const expected = { status, json: { error: 'what happened', code } };
    expect(await http.ask('GET', url)).toMatchObject(expected);
    expect(await http.ask('GET', `${url}/locks`)).toMatchObject(expected);
    expect(await http.ask('POST', `${url}/locks`, { paths: ['a'] })).toMatchObject(expected);
  });

  test.each<[string, string, unknown, number]>([
    ['a path that leads out', '/fetch', { paths: ['a/../../b'] }, 400],
    ['a NUL byte', '/fetch', { paths: ['a\0b'] }, 400],
    ['a path that no system takes', '/fetch', { paths: ['x'.repeat(5000)] }, 400],
    ['paths that are none', '/push', { paths: 'a' }, 422],
    ['paths that are no texts', '/push', { paths: [1] }, 422],
    ['too many paths', '/push', { paths: Array.from({ length: 100_001 }, () => 'a') }, 422],
    ['a list as the body', '/checkout', [], 422],
    ['what is not JSON', '/checkout', '{', 400],
    ['a lock of nothing', '/locks', { paths: [] }, 400],
  ])('%s is refused', async (_what, route, body, status) => {
    const headers = { 'content-type': 'application/json' };
    expect((await http.ask('POST', url + route, body, headers)).status).toBe(status);
    expect(http.lfs.asked).toEqual([]);
  });

  test.each<[string, string]>([
    ['a flag that is none', '?wait_for_hashes=maybe'],
    ['a limit that is none', '/locks?limit=0'],
    ['a limit that is no number', '/locks?limit=many'],
    ['two ids', '/locks?id=1&id=2'],
    ['a path that leads out', '?path=../x'],
  ])('%s is refused in a query', async (_what, query) => {
    expect((await http.ask('GET', url + query)).status).toBe(400);
    expect(http.lfs.asked).toEqual([]);
  });

  test('a huge list of paths is taken, a larger one refused', async () => {
    const paths = Array.from({ length: 60_000 }, (_, n) => `some/folder/with/files/${n}.bin`);
    expect((await http.ask('POST', `${url}/fetch`, { paths })).status).toBe(202);
    expect((await http.ask('POST', `${url}/fetch`, { paths: ['x'.repeat(17_000_000)] })).status).toBe(413);
  });

  test('repositories are absolute paths', async () => {
    for (const repositories of [[], ['relative'], ['/a\0b']]) {
      expect((await http.ask('POST', '/antares/lfs/dedup', { repositories })).status).toBe(400);
    }
  });

  test('a mount that is not there', async () => {
    const other = '/antares/mounts/00000000-0000-0000-0000-000000000000/lfs';
    for (const [method, route] of [
      ['GET', ''],
      ['POST', '/fetch'],
      ['GET', '/locks'],
    ] as const) {
      expect(await http.ask(method, other + route)).toMatchObject({
        status: 404,
        json: { code: 'NOT_FOUND' },
      });
    }
    expect((await http.ask('GET', '/antares/mounts/x/lfs')).status).toBe(400);
  });

  test('pages of other origins are kept away', async () => {
    const headers = { origin: 'http://evil.example', 'content-type': 'application/json' };
    for (const route of [`${url}/push`, '/lfs/attributes', '/lfs/locks/a']) {
      expect((await http.ask('POST', route, {}, headers)).status).toBe(403);
    }
  });
});

describe('the routes of earlier ScorpioFS', () => {
  const lock = (path: string, method = 'POST'): Promise<Answer> => http.ask(method, `/lfs/locks/${path}`);

  test('patterns are added and removed', async () => {
    const patterns = ['*.bin', '*.psd'];
    expect((await http.ask('POST', '/lfs/attributes', { patterns })).json).toEqual({ tracked_patterns: 2 });
    expect((await http.ask('GET', '/lfs/attributes')).json).toEqual({ patterns });
    expect((await http.ask('DELETE', '/lfs/attributes', { paths: ['*.bin'] })).json).toEqual({
      tracked_patterns: 1,
    });
  });

  test('locks are those of the mount that shows the path', async () => {
    expect(await lock('project/game/a/b.bin')).toMatchObject({ status: 201, json: { lock: {} } });
    expect(asked()).toEqual(['lock', ['a/b.bin']]);
    expect((await http.ask('GET', '/lfs/locks?path=project/game/a/b.bin')).json).toMatchObject({
      locks: [{ path: 'a/b.bin' }],
    });
    expect(await lock('project/game/a/b.bin', 'DELETE')).toMatchObject({ status: 204, text: '' });
    expect((await http.ask('GET', '/lfs/locks?limit=2')).json).toEqual({ locks: [] });
  });

  test('a path that no mount shows is one of the only mount', async () => {
    await lock('x%20y.bin');
    expect(asked()).toEqual(['lock', ['x y.bin']]);
  });

  test('with several mounts the innermost is meant, and what none shows is refused', async () => {
    await http.ask('POST', '/antares/mounts', { path: '/project' });
    await lock('project/game/a.bin');
    expect(asked()).toEqual(['lock', ['a.bin']]);
    await lock('project/b.bin');
    expect(asked()).toEqual(['lock', ['b.bin']]);
    expect(await lock('gamers/c.bin')).toMatchObject({
      status: 500,
      json: { error: 'no mount shows /gamers/c.bin; mounted are /project/game, /project' },
    });
  });

  test('every failure is a 500 with its message', async () => {
    await lock('a.bin');
    expect(await lock('a.bin')).toMatchObject({ status: 500, json: { error: 'a.bin is locked by alice' } });
    expect((await lock('..%2Fa.bin')).status).toBe(500);
    expect((await lock('')).status).toBe(404);
    expect(await http.ask('GET', '/lfs/locks/a.bin')).toMatchObject({ status: 405 });
    await http.ask('DELETE', `/antares/mounts/${id}`);
    expect((await lock('a.bin')).json).toEqual({ error: 'no mount shows /a.bin; nothing is mounted' });
  });
});
