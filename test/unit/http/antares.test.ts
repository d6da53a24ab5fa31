// The Antares routes and /health: shapes, codes and messages.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MountError } from '../../../src/mount/mount-error.ts';
import { HEAD } from '../mount/fake-mount-host.ts';
import { createHttpFixture, type HttpFixture } from './http-fixture.ts';

const MISSING = '00000000-0000-4000-8000-000000000000';
let http: HttpFixture;
beforeEach(async () => {
  http = await createHttpFixture();
});
afterEach(() => http.close());

interface Created {
  mount_id: string;
  mountpoint: string;
}

const MEMORY_OF_FAKE = {
  budget_bytes: 512,
  resident_bytes: 100,
  held_bytes: 50,
  inodes: 3,
  evicted_inodes: 7,
};

async function create(body: Record<string, unknown>): Promise<Created> {
  const answer = await http.ask('POST', '/antares/mounts', body);
  expect(answer.status).toBe(200);
  return answer.json as Created;
}

describe('health', () => {
  it('tells which daemon this is', async () => {
    await create({ path: '/a' });
    const { status, json } = await http.ask('GET', '/health');
    expect(status).toBe(200);
    expect(json).toEqual({
      status: 'ok',
      version: '9.9.9',
      server: 'http://mega.example',
      uptime_secs: expect.any(Number),
      mount_count: 1,
      store_path: '/store',
      pid: process.pid,
      memory: MEMORY_OF_FAKE,
      prefetch: null,
      lfs: { transfers: 0, failures: 1 },
    });
  });

  it('has the form of Antares below its prefix', async () => {
    const { json } = await http.ask('GET', '/antares/health');
    expect(json).toEqual({ status: 'healthy', mount_count: 0, uptime_secs: expect.any(Number) });
  });
});

describe('creating', () => {
  it('answers with id and mount point, and nothing else', async () => {
    const created = await create({ job_id: 'j', build_id: null, path: '/a', cl: null, unknown: 1 });
    expect(created).toEqual({
      mount_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      mountpoint: join(http.files.folder, 'mnt', created.mount_id),
    });
    expect(await create({ build_id: 'j', path: 'a' })).toEqual(created);
  });

  it('takes a mount point and an owner', async () => {
    expect((await create({ path: '/a', mountpoint: '/here', uid: 5, gid: 0 })).mountpoint).toBe('/here');
    expect(http.host.specs[0]).toMatchObject({ uid: 5, gid: 0 });
  });

  it.each([
    [{ path: ' ' }, 400, { error: 'path cannot be empty', code: 'INVALID_REQUEST' }],
    [
      { path: '/a', cl: 'X' },
      400,
      { error: expect.stringContaining('not supported yet'), code: 'INVALID_REQUEST' },
    ],
    [
      { path: '/a', mountpoint: 'b' },
      400,
      { error: expect.stringContaining('absolute'), code: 'INVALID_REQUEST' },
    ],
  ])('refuses %j', async (body, status, error) => {
    const answer = await http.ask('POST', '/antares/mounts', body);
    expect([answer.status, answer.json]).toEqual([status, error]);
  });

  it.each([
    ['not-found', 400, 'INVALID_REQUEST'],
    ['upstream', 500, 'FUSE_ERROR'],
    ['fuse', 500, 'FUSE_ERROR'],
    ['internal', 500, 'INTERNAL_ERROR'],
  ] as const)('tells of a host that fails with %s', async (kind, status, code) => {
    http.host.mountError = new MountError(kind, 'why');
    const answer = await http.ask('POST', '/antares/mounts', { path: '/a' });
    expect([answer.status, answer.json]).toEqual([status, { error: 'why', code }]);
  });

  it('refuses a path that is mounted without a job', async () => {
    await create({ path: '/a' });
    const answer = await http.ask('POST', '/antares/mounts', { path: '/a' });
    expect(answer.json).toEqual({
      error: 'path /a with cl None is already mounted',
      code: 'INVALID_REQUEST',
    });
  });

  it('answers 503 while the daemon stops', async () => {
    await http.registry.stop();
    const answer = await http.ask('POST', '/antares/mounts', { path: '/a' });
    expect([answer.status, answer.json]).toEqual([
      503,
      { error: 'server is shutting down', code: 'SHUTDOWN' },
    ]);
  });
});

describe('looking', () => {
  it('shows a mount with all its fields, null where there is nothing', async () => {
    const { mount_id: id, mountpoint } = await create({ path: '/a' });
    const expected = {
      mount_id: id,
      job_id: null,
      path: '/a',
      cl: null,
      mountpoint,
      layers: { upper: join(http.files.folder, 'upper', id), cl: null, dicfuse: 'shared' },
      state: 'Ready',
      created_at_epoch_ms: expect.any(Number),
      last_seen_epoch_ms: expect.any(Number),
      commit: HEAD,
      uid: 1000,
      gid: 1001,
      fetched_bytes: 12,
      kernel: { open: false, passthrough: false },
      requests: 3,
      binding: { name: 'kernel', limits: [] },
      faults: ['OPEN: EIO'],
      lfs: {
        server: 'http://lfs.example/info/lfs',
        problem: null,
        active_folders: ['models'],
        transfers: [],
        failures: [
          {
            oid: 'f'.repeat(64),
            path: 'models/a.bin',
            reason: 'the server does not have it',
            at_epoch_ms: 1,
          },
        ],
      },
    };
    expect((await http.ask('GET', `/antares/mounts/${id}`)).json).toEqual(expected);
    expect((await http.ask('GET', `/antares/mounts/${id.toUpperCase().replaceAll('-', '')}`)).json).toEqual(
      expected,
    );
    expect((await http.ask('GET', '/antares/mounts')).json).toEqual({ mounts: [expected] });
    expect((await http.ask('GET', `/antares/mounts/${id}/ready`)).json).toEqual({
      mount_id: id,
      ready: true,
      state: 'Ready',
    });
  });

  it('lists nothing where there is nothing', async () => {
    expect((await http.ask('GET', '/antares/mounts')).json).toEqual({ mounts: [] });
  });

  it('finds a mount by its job, whatever characters that has', async () => {
    const job = 'a/b?c=d ü%';
    const { mount_id: id } = await create({ path: '/a', job_id: job });
    const url = `/antares/mounts/by-job/${encodeURIComponent(job)}`;
    expect((await http.ask('GET', url)).json).toMatchObject({ mount_id: id, job_id: job });
    expect((await http.ask('DELETE', url)).json).toMatchObject({ mount_id: id, state: 'Unmounted' });
  });

  it('shows a failed mount, which is not ready', async () => {
    const { mount_id: id } = await create({ path: '/a' });
    http.host.end(id, 'died');
    const state = { Failed: { reason: 'the connection to the kernel broke' } };
    expect((await http.ask('GET', `/antares/mounts/${id}/ready`)).json).toEqual({
      mount_id: id,
      ready: false,
      state,
    });
    expect((await http.ask('GET', `/antares/mounts/${id}`)).json).toMatchObject({
      state,
      binding: null,
      fetched_bytes: null,
      kernel: null,
      requests: null,
      faults: [],
      lfs: null,
    });
  });

  it.each([
    ['GET', `/antares/mounts/${MISSING}`, `mount ${MISSING} not found`],
    ['GET', `/antares/mounts/${MISSING}/ready`, `mount ${MISSING} not found`],
    ['GET', '/antares/mounts/by-job/x', 'mount for task x not found'],
    ['DELETE', `/antares/mounts/${MISSING}`, `mount ${MISSING} not found`],
    ['DELETE', `/antares/mounts/${MISSING}?purge=true`, `mount ${MISSING} not found`],
    ['DELETE', '/antares/mounts/by-job/x', 'mount for task x not found'],
    ['DELETE', `/antares/mounts/${MISSING}/cl`, `mount ${MISSING} not found`],
  ])('%s %s of what does not exist is 404', async (method, url, error) => {
    const answer = await http.ask(method, url);
    expect([answer.status, answer.json]).toEqual([404, { error, code: 'NOT_FOUND' }]);
  });
});

it('a broken escape in a URL is answered in words', async () => {
  const answer = await http.ask('GET', '/antares/mounts/by-job/%ff');
  expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('%ff')]);
});

describe('deleting', () => {
  it('answers with the mount as it was, unmounted', async () => {
    const { mount_id: id } = await create({ path: '/a', job_id: 'j' });
    const answer = await http.ask('DELETE', `/antares/mounts/${id}`);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ mount_id: id, job_id: 'j', state: 'Unmounted', fetched_bytes: null });
    expect(answer.json).not.toHaveProperty('error');
    expect((await http.ask('GET', `/antares/mounts/${id}`)).status).toBe(404);
  });

  it('answers 200 with who uses a busy mount, which stays usable', async () => {
    const { mount_id: id } = await create({ path: '/a' });
    const users = [{ pid: 7, command: 'vi', use: 'open file /m/a' }];
    http.host.unmountError = new MountError('busy', '/m is in use', { users });
    const answer = await http.ask('DELETE', `/antares/mounts/${id}`);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      mount_id: id,
      state: { Failed: { reason: 'unmount failed: /m is in use' } },
      error: 'unmount failed: /m is in use',
      users,
    });
    expect((await http.ask('GET', `/antares/mounts/${id}`)).json).toMatchObject({ state: 'Ready' });
    const lazy = await http.ask('DELETE', `/antares/mounts/${id}?lazy=true`);
    expect(lazy.json).toMatchObject({ state: 'Unmounted' });
  });

  it('purges on request only', async () => {
    const { mount_id: id } = await create({ path: '/a', job_id: 'j' });
    const upper = join(http.files.folder, 'upper', id);
    await writeFile(join(upper, 'mine'), '');
    await http.ask('DELETE', `/antares/mounts/${id}?purge=false`);
    expect((await http.ask('DELETE', '/antares/mounts/by-job/j?purge=true')).json).toMatchObject({
      mount_id: id,
      state: 'Unmounted',
    });
    expect((await http.ask('DELETE', '/antares/mounts/by-job/j?purge=true')).status).toBe(404);
    const answer = await http.ask('DELETE', `/antares/mounts/${id}?purge=yes`);
    expect([answer.status, answer.text]).toEqual([
      400,
      expect.stringContaining('expected `true` or `false`'),
    ]);
  });
});

it('says that change lists of a mount are not supported', async () => {
  const { mount_id: id } = await create({ path: '/a' });
  const error = { error: 'change lists are not supported yet', code: 'UNSUPPORTED' };
  const post = await http.ask('POST', `/antares/mounts/${id}/cl`, { cl: 'X' });
  expect([post.status, post.json]).toEqual([501, error]);
  const remove = await http.ask('DELETE', `/antares/mounts/${id}/cl`);
  expect([remove.status, remove.json]).toEqual([501, error]);
  expect((await http.ask('POST', `/antares/mounts/${id}/cl`, {})).status).toBe(422);
});
