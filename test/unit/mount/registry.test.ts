// The registry: making, finding and ending mounts.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MountError } from '../../../src/mount/mount-error.ts';
import { parseToml } from '../../../src/config/toml.ts';
import { HEAD } from './fake-mount-host.ts';
import { createRegistryFixture, type RegistryFixture } from './registry-fixture.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let fixture: RegistryFixture;
beforeEach(() => {
  fixture = createRegistryFixture();
});
afterEach(() => fixture.remove());

async function savedTables(name: 'mounts' | 'unmounted'): Promise<Record<string, unknown>[]> {
  return parseToml(await readFile(fixture.stateFile, 'utf8'))[name] as Record<string, unknown>[];
}

describe('making a mount', () => {
  it('asks the host for a mount below the roots, and is ready afterwards', async () => {
    const { registry, host } = await fixture.load();
    const record = await registry.create({ path: ' third-party/mega/ ' });
    expect(record.mountId).toMatch(UUID);
    expect(record).toMatchObject({
      path: '/third-party/mega',
      jobId: null,
      state: 'Ready',
      uid: 1000,
      gid: 1001,
    });
    const { mountId } = record;
    expect(host.specs[0]).toMatchObject({
      id: mountId,
      mountpoint: join(fixture.folder, 'mnt', mountId),
      upperDir: join(fixture.folder, 'upper', mountId),
      workDir: join(fixture.folder, 'upper', '.work', mountId),
      snapshot: undefined,
    });
    expect(registry.get(mountId).snapshot?.commit).toBe(HEAD);
  });

  it('takes the place and the owner that the request names', async () => {
    const { registry, host } = await fixture.load();
    await registry.create({ path: '/', mountpoint: '/some/where/', uid: 7, gid: 8 });
    expect(host.specs[0]).toMatchObject({ mountpoint: '/some/where', uid: 7, gid: 8 });
  });

  it('ignores the owner that a request names when the daemon may not choose one', async () => {
    const { registry, host } = await fixture.load(undefined, { mayChooseOwner: false });
    await registry.create({ path: '/', uid: 7, gid: 8 });
    expect(host.specs[0]).toMatchObject({ uid: 1000, gid: 1001 });
  });

  it.each([
    [{ path: '  ' }, 'path cannot be empty'],
    [{ path: '/a/../b' }, 'path /a/../b must not contain "." or ".."'],
    [{ path: '/', mountpoint: 'relative' }, 'mountpoint "relative" must be an absolute path'],
    [{ path: '/', cl: 'CL1' }, 'change lists are not supported yet; leave "cl" out'],
    [{ path: '/', cl: '' }, 'change lists are not supported yet; leave "cl" out'],
  ])('refuses %j', async (request, message) => {
    const { registry, host } = await fixture.load();
    await expect(registry.create(request)).rejects.toMatchObject({ code: 'INVALID_REQUEST', message });
    expect(host.specs).toEqual([]);
  });

  it.each([
    ['not-found', 'INVALID_REQUEST'],
    ['invalid', 'INVALID_REQUEST'],
    ['upstream', 'FUSE_ERROR'],
    ['fuse', 'FUSE_ERROR'],
    ['internal', 'INTERNAL_ERROR'],
  ] as const)('passes on what the host says of kind %s as %s, and keeps nothing', async (kind, code) => {
    const { registry, host } = await fixture.load();
    host.mountError = new MountError(kind, 'because');
    await expect(registry.create({ path: '/x', jobId: 'j' })).rejects.toMatchObject({
      code,
      message: 'because',
    });
    expect(registry.size).toBe(0);
    expect(await savedTables('mounts')).toEqual([]);
    expect(await savedTables('unmounted')).toEqual([]);
  });

  it('unmounts again when the mount cannot be recorded', async () => {
    const { registry, host } = await fixture.load();
    let open!: () => void;
    host.gate = new Promise((resolve) => {
      open = resolve;
    });
    const creating = registry.create({ path: '/x' });
    await expect.poll(() => host.specs.length).toBe(1);
    // The state file becomes a folder: it cannot be replaced.
    await rm(fixture.stateFile);
    await mkdir(join(fixture.stateFile, 'in-the-way'), { recursive: true });
    open();
    await expect(creating).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });
    expect(host.mounted.size).toBe(0);
    expect(registry.size).toBe(0);
  });
});

describe('jobs', () => {
  it('answers a repeated request of a job with the same mount', async () => {
    const { registry, host } = await fixture.load();
    const first = await registry.create({ path: '/a', jobId: 'j' });
    const seen = first.lastSeenEpochMs;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await registry.create({ path: 'a/', buildId: 'j' });
    expect(second.mountId).toBe(first.mountId);
    expect(second.lastSeenEpochMs).toBeGreaterThan(seen);
    expect(host.specs).toHaveLength(1);
  });

  it('gives requests of one job that come at the same moment one mount', async () => {
    const { registry, host } = await fixture.load();
    const records = await Promise.all(
      Array.from({ length: 10 }, () => registry.create({ path: '/a', jobId: 'j' })),
    );
    expect(new Set(records.map((record) => record.mountId)).size).toBe(1);
    expect(host.specs).toHaveLength(1);
    expect(records.every((record) => record.state === 'Ready')).toBe(true);
  });

  it('lets requests of one job that come at the same moment fail together, and the next one succeed', async () => {
    const { registry, host } = await fixture.load();
    host.mountError = new MountError('upstream', 'down');
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => registry.create({ path: '/a', jobId: 'j' })),
    );
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(host.specs).toHaveLength(1);
    host.mountError = undefined;
    await expect(registry.create({ path: '/a', jobId: 'j' })).resolves.toMatchObject({ state: 'Ready' });
  });

  it('refuses another path, or another place, for a job that has a mount', async () => {
    const { registry } = await fixture.load();
    await registry.create({ path: '/a', jobId: 'j', mountpoint: '/m' });
    await expect(registry.create({ path: '/b', jobId: 'j' })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: "job_id/build_id 'j' already mounted with different path/cl",
    });
    await expect(registry.create({ path: '/a', jobId: 'j', mountpoint: '/n' })).rejects.toMatchObject({
      message: "job_id/build_id 'j' already mounted at /m; unmount it first, or choose another job id",
    });
  });

  it('lets different jobs mount one path, but not two requests without a job', async () => {
    const { registry } = await fixture.load();
    await registry.create({ path: '/a', jobId: 'j' });
    await registry.create({ path: '/a', jobId: 'k' });
    await registry.create({ path: '/a', jobId: '  ', buildId: 'ignored' });
    await expect(registry.create({ path: '/a' })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: 'path /a with cl None is already mounted',
    });
    expect(registry.list()).toHaveLength(3);
  });

  it('makes ten different mounts at once', async () => {
    const { registry } = await fixture.load();
    await Promise.all(Array.from({ length: 10 }, (_, index) => registry.create({ path: `/p${index}` })));
    expect(registry.size).toBe(10);
    expect(await savedTables('mounts')).toHaveLength(10);
  });

  it('finds mounts by id and by job, and says so when there is none', async () => {
    const { registry } = await fixture.load();
    const { mountId } = await registry.create({ path: '/a', jobId: 'j' });
    expect(registry.getByJob('j').mountId).toBe(mountId);
    expect(() => registry.getByJob('nope')).toThrow('mount for task nope not found');
    expect(() => registry.get('nope')).toThrow('mount nope not found');
  });
});

describe('ending a mount', () => {
  it('unmounts, and leaves no folders where nothing was changed', async () => {
    const { registry, host } = await fixture.load();
    const { mountId, upperDir, workDir } = await registry.create({ path: '/a', jobId: 'j' });
    const { record } = await registry.delete(mountId);
    expect(record.state).toBe('Unmounted');
    expect(host.mounted.size).toBe(0);
    expect([existsSync(upperDir), existsSync(workDir)]).toEqual([false, false]);
    expect(() => registry.get(mountId)).toThrow('not found');
    expect(await savedTables('mounts')).toEqual([]);
    expect(await savedTables('unmounted')).toEqual([]);
  });

  it('keeps what was changed, and shows it to the same job at the same path on the same commit', async () => {
    const { registry, host } = await fixture.load();
    const first = await registry.create({ path: '/a', jobId: 'j' });
    await writeFile(join(first.upperDir, 'mine'), 'work');
    await registry.deleteByJob('j');
    expect(existsSync(join(first.upperDir, 'mine'))).toBe(true);
    expect(await savedTables('unmounted')).toMatchObject([{ job_id: 'j', state: 'Unmounted' }]);

    host.head = 'd'.repeat(40);
    const other = await registry.create({ path: '/b', jobId: 'k' });
    expect(other.upperDir).not.toBe(first.upperDir);
    const again = await registry.create({ path: '/a', jobId: 'j' });
    expect(again).toMatchObject({ mountId: first.mountId, upperDir: first.upperDir });
    expect(again.snapshot?.commit).toBe(HEAD);
    expect(await savedTables('unmounted')).toEqual([]);
  });

  it('keeps what was changed when mounting it again fails', async () => {
    const { registry, host } = await fixture.load();
    const { upperDir } = await registry.create({ path: '/a', jobId: 'j' });
    await writeFile(join(upperDir, 'mine'), 'work');
    await registry.deleteByJob('j');
    host.mountError = new MountError('upstream', 'down');
    await expect(registry.create({ path: '/a', jobId: 'j' })).rejects.toThrow('down');
    expect(await savedTables('unmounted')).toHaveLength(1);
    expect(existsSync(join(upperDir, 'mine'))).toBe(true);
    host.mountError = undefined;
    expect((await registry.create({ path: '/a', jobId: 'j' })).upperDir).toBe(upperDir);
  });

  it('removes what was changed when told to purge, also after unmounting', async () => {
    const { registry } = await fixture.load();
    for (const purgeLater of [false, true]) {
      const { upperDir, mountId } = await registry.create({ path: '/a', jobId: 'j' });
      await writeFile(join(upperDir, 'mine'), 'work');
      if (purgeLater) await registry.delete(mountId);
      await registry.deleteByJob('j', { purge: true });
      expect(existsSync(upperDir)).toBe(false);
      expect(await savedTables('unmounted')).toEqual([]);
    }
    await expect(registry.deleteByJob('j', { purge: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('tells who uses a busy mount, and keeps it ready', async () => {
    const { registry, host } = await fixture.load();
    const { mountId } = await registry.create({ path: '/a' });
    const users = [{ pid: 5, command: 'vi', use: 'cwd' }];
    host.unmountError = new MountError('busy', '/m is in use by vi (pid 5: cwd)', { users });
    const result = await registry.delete(mountId);
    const reason = 'unmount failed: /m is in use by vi (pid 5: cwd)';
    expect(result).toMatchObject({
      error: reason,
      users,
      record: { mountId, state: { Failed: { reason } } },
    });
    expect(registry.get(mountId).state).toBe('Ready');
    expect((await registry.delete(mountId, { lazy: true })).record.state).toBe('Unmounted');
    expect(host.lazily).toEqual([mountId]);
  });

  it('refuses to end a mount that is being made', async () => {
    const { registry, host } = await fixture.load();
    let open!: () => void;
    host.gate = new Promise((resolve) => {
      open = resolve;
    });
    const creating = registry.create({ path: '/a', jobId: 'j' });
    await expect(registry.deleteByJob('j')).rejects.toThrow(
      /^mount .* is currently in state Provisioning; retry after switch\/unmount completes$/,
    );
    open();
    await creating;
    await expect(registry.deleteByJob('j')).resolves.toMatchObject({ record: { state: 'Unmounted' } });
  });

  it('refuses a request for a job whose mount is just being ended', async () => {
    const { registry } = await fixture.load();
    await registry.create({ path: '/a', jobId: 'j' });
    const ending = registry.deleteByJob('j');
    await expect(registry.create({ path: '/a', jobId: 'j' })).rejects.toThrow(
      "job_id/build_id 'j' is currently in state Unmounting; retry after unmount completes",
    );
    await ending;
  });

  it('takes no requests once it stops, and leaves the state file for the next start', async () => {
    const { registry, host } = await fixture.load();
    await registry.create({ path: '/a', jobId: 'j' });
    await registry.stop();
    expect(host.closed).toBe(true);
    await expect(registry.create({ path: '/b' })).rejects.toMatchObject({ code: 'SHUTDOWN' });
    await expect(registry.deleteByJob('j')).rejects.toMatchObject({ code: 'SHUTDOWN' });
    expect(await savedTables('mounts')).toMatchObject([{ job_id: 'j' }]);
  });
});
