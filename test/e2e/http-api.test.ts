// The Antares routes over real HTTP, with real mounts behind them, and `scorpio http-mount`.
import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { shell } from '../support/run-program.ts';
import { useServedStage } from '../support/served-stage.ts';
import type { Stage } from '../support/stage.ts';

const REQUEST_TIMEOUT_MS = 60_000;

const served = useServedStage({ 'docs/a.md': 'a\n', 'src/main.ts': 'export {};\n' });

let stage: Stage;
let point: string;

beforeEach(async () => {
  stage = served.stage;
  point = stage.path('mnt');
  await stage.serve();
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function ask(method: string, route: string, body?: unknown): Promise<Answer> {
  const response = await fetch(`http://${stage.daemon()?.address}${route}`, {
    method,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
}

const list = async (folder: string): Promise<string[]> =>
  (await shell('ls -A "$1"', { args: [folder] })).split('\n');

test('a mount is created, found in every way, ready, and deleted', async () => {
  const created = await ask('POST', '/antares/mounts', { path: '/docs', job_id: 'j 1', mountpoint: point });
  expect(created).toEqual({ status: 200, body: { mount_id: expect.any(String), mountpoint: point } });
  expect(await list(point)).toEqual(['a.md']);
  const id = String(created.body['mount_id']);
  const mount = {
    mount_id: id,
    job_id: 'j 1',
    path: '/docs',
    cl: null,
    mountpoint: point,
    layers: { upper: stage.path('store/upper', id), cl: null, dicfuse: 'shared' },
    state: 'Ready',
    commit: served.repository.head,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    faults: [],
  };
  expect(await ask('GET', `/antares/mounts/${id}`)).toMatchObject({ status: 200, body: mount });
  expect(await ask('GET', '/antares/mounts/by-job/j%201')).toMatchObject({ status: 200, body: mount });
  expect(await ask('GET', '/antares/mounts')).toMatchObject({ status: 200, body: { mounts: [mount] } });
  expect(await ask('GET', `/antares/mounts/${id}/ready`)).toEqual({
    status: 200,
    body: { mount_id: id, ready: true, state: 'Ready' },
  });
  expect(await ask('GET', '/antares/health')).toMatchObject({ body: { mount_count: 1 } });

  expect(await ask('DELETE', `/antares/mounts/${id}`)).toMatchObject({
    status: 200,
    body: { ...mount, state: 'Unmounted', commit: expect.anything() },
  });
  expect(stage.mountpoints()).toEqual([]);
  expect(existsSync(point)).toBe(false);
  for (const route of [
    `/antares/mounts/${id}`,
    `/antares/mounts/${id}/ready`,
    '/antares/mounts/by-job/j%201',
  ]) {
    expect(await ask('GET', route)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
  }
});

test('without a mount point it is below antares_mount_root; a job is mounted once, however often it is asked for', async () => {
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => ask('POST', '/antares/mounts', { path: '/src/', build_id: 'b' })),
  );
  const [first] = answers;
  expect(answers).toEqual(Array(5).fill(first));
  expect(first?.body['mountpoint']).toBe(stage.path('store/mnt', String(first?.body['mount_id'])));
  expect(stage.mountpoints()).toEqual([first?.body['mountpoint']]);
  expect(await list(String(first?.body['mountpoint']))).toEqual(['main.ts']);
  expect(await ask('DELETE', '/antares/mounts/by-job/b')).toMatchObject({ body: { state: 'Unmounted' } });
  expect(stage.mountpoints()).toEqual([]);
});

test('a mount that fails leaves nothing, and says why', async () => {
  const missing = await ask('POST', '/antares/mounts', { path: '/none', mountpoint: point });
  expect(missing).toEqual({
    status: 400,
    body: { code: 'INVALID_REQUEST', error: expect.stringContaining("'/none' is no folder") },
  });
  await served.proxy.stop();
  const away = await ask('POST', '/antares/mounts', { path: '/docs', mountpoint: point });
  expect(away).toMatchObject({ status: 500, body: { code: 'FUSE_ERROR' } });
  expect(await ask('GET', '/antares/mounts')).toMatchObject({ body: { mounts: [] } });
  expect(stage.mountpoints()).toEqual([]);
  expect(existsSync(point)).toBe(false);
});

test('changes survive deleting a mount, and are removed with purge', async () => {
  const wanted = { path: '/docs', job_id: 'j', mountpoint: point };
  await ask('POST', '/antares/mounts', wanted);
  await shell('echo mine > mine.md', { cwd: point });
  await ask('DELETE', '/antares/mounts/by-job/j');
  await ask('POST', '/antares/mounts', wanted);
  expect(await list(point)).toEqual(['a.md', 'mine.md']);
  await ask('DELETE', '/antares/mounts/by-job/j?purge=true');
  await ask('POST', '/antares/mounts', wanted);
  expect(await list(point)).toEqual(['a.md']);
});

describe('http-mount', () => {
  test('mounts through the running daemon and prints its answer', async () => {
    const answer = JSON.parse(await stage.succeed('http-mount', '/docs', '--job-id', 'h')) as Answer['body'];
    expect(Object.keys(answer).sort()).toEqual(['mount_id', 'mountpoint']);
    expect(await list(String(answer['mountpoint']))).toEqual(['a.md']);
    const endpoint = `http://${stage.daemon()?.address}/antares/`;
    const again = await stage.succeed('http-mount', '/docs', '--job-id', 'h', '--endpoint', endpoint);
    expect(JSON.parse(again)).toEqual(answer);
    await stage.succeed('umount', 'h');
  });

  test('says what the daemon refuses, and that none answers', async () => {
    const refused = await stage.scorpio('http-mount', '/none');
    expect([refused.code, refused.stdout]).toEqual([3, '']);
    expect(refused.stderr).toMatch(/^http mount failed: status=400 Bad Request body=\{.*INVALID_REQUEST/);
    const silent = await stage.scorpio('http-mount', '/docs', '--endpoint', 'http://127.0.0.1:1/antares');
    expect([silent.code, silent.stderr]).toEqual([1, expect.stringMatching(/^http mount request failed: /)]);
  });
});
