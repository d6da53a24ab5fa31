// The registry after a restart, a crash, and when mounts end by themselves.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseToml } from '../../../src/config/toml.ts';
import { MountError } from '../../../src/mount/mount-error.ts';
import { FakeMountHost, HEAD } from './fake-mount-host.ts';
import { createRegistryFixture, type RegistryFixture } from './registry-fixture.ts';

let fixture: RegistryFixture;
beforeEach(() => {
  fixture = createRegistryFixture();
});
afterEach(() => fixture.remove());

describe('after a restart', () => {
  it('mounts again: same id, job, commit, place and upper folder, without asking the server', async () => {
    const { registry: before } = await fixture.load();
    const first = { ...(await before.create({ path: '/a', jobId: 'j', mountpoint: '/m', uid: 3 })) };

    const host = new FakeMountHost();
    host.head = 'd'.repeat(40);
    const { registry } = await fixture.load(host);
    expect(registry.get(first.mountId).state).toBe('Provisioning');
    await registry.recover();
    expect(registry.getByJob('j')).toMatchObject({ ...first, state: 'Ready' });
    expect(host.specs[0]).toMatchObject({
      id: first.mountId,
      snapshot: { commit: HEAD, time: 1_700_000_000 },
    });
  });

  it('refuses to go on with an empty folder where what was written is missing, until told so', async () => {
    const { registry: before } = await fixture.load();
    const { upperDir } = await before.create({ path: '/a', jobId: 'j' });
    await before.stop();
    await rm(upperDir, { recursive: true });
    const { registry, host } = await fixture.load();
    await registry.recover();
    const { state } = registry.getByJob('j');
    expect(state).toMatchObject({ Failed: { reason: expect.stringContaining(`is missing: ${upperDir}`) } });
    expect(host.specs).toEqual([]);
    expect(existsSync(upperDir)).toBe(false);
    await registry.deleteByJob('j', { purge: true });
    expect((await registry.create({ path: '/a', jobId: 'j' })).state).toBe('Ready');
  });

  it('brings many mounts back at the same time', async () => {
    const { registry: before } = await fixture.load();
    for (const job of ['a', 'b', 'c']) await before.create({ path: '/a', jobId: job });
    const { registry, host } = await fixture.load();
    let open!: () => void;
    host.gate = new Promise((resolve) => {
      open = resolve;
    });
    const recovering = registry.recover();
    expect(host.specs).toHaveLength(3);
    open();
    await recovering;
    expect(registry.list().map((record) => record.state)).toEqual(['Ready', 'Ready', 'Ready']);
  });

  it('lets a request of a job that is just coming back wait for it', async () => {
    const { registry: before } = await fixture.load();
    const { mountId } = await before.create({ path: '/a', jobId: 'j' });
    const { registry, host } = await fixture.load();
    const recovering = registry.recover();
    const record = await registry.create({ path: '/a', jobId: 'j' });
    expect(record).toMatchObject({ mountId, state: 'Ready' });
    await recovering;
    expect(host.specs).toHaveLength(1);
  });

  it('keeps a mount that does not come back in state Failed, and tries again until it does', async () => {
    const { registry: before } = await fixture.load();
    const { mountId } = await before.create({ path: '/a', jobId: 'j' });
    const { registry, host } = await fixture.load(undefined, { retryDelayMs: 10 });
    host.mountError = new MountError('upstream', 'down');
    await registry.recover();
    expect(registry.get(mountId).state).toEqual({ Failed: { reason: 'down' } });
    await expect.poll(() => host.specs.length).toBeGreaterThan(2);
    host.mountError = undefined;
    await expect.poll(() => registry.get(mountId).state).toBe('Ready');
    const { registry: next } = await fixture.load();
    await next.recover();
    expect(next.get(mountId).state).toBe('Ready');
  });

  it('tries a failed mount again at once when its job asks', async () => {
    const { registry: before } = await fixture.load();
    const { mountId } = await before.create({ path: '/a', jobId: 'j' });
    const { registry, host } = await fixture.load();
    host.mountError = new MountError('upstream', 'down');
    await registry.recover();
    await expect(registry.create({ path: '/a', jobId: 'j' })).rejects.toMatchObject({ code: 'FUSE_ERROR' });
    host.mountError = undefined;
    await expect(registry.create({ path: '/a', jobId: 'j' })).resolves.toMatchObject({
      mountId,
      state: 'Ready',
    });
  });

  it('ends a mount that failed to come back, clears its mount point, and stops trying', async () => {
    const { registry: before } = await fixture.load();
    const { mountId, mountpoint } = await before.create({ path: '/a', jobId: 'j' });
    const { registry, host } = await fixture.load(undefined, { retryDelayMs: 10 });
    host.mountError = new MountError('upstream', 'down');
    await registry.recover();
    expect((await registry.delete(mountId)).record.state).toBe('Unmounted');
    expect(host.cleared).toEqual([mountpoint]);
    const attempts = host.specs.length;
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(host.specs).toHaveLength(attempts);
    expect(registry.size).toBe(0);
  });

  it('forgets a mount whose creation a crash cut off, but nothing that the user changed before', async () => {
    const { registry: before, host: stuck } = await fixture.load();
    const kept = await before.create({ path: '/a', jobId: 'kept' });
    await writeFile(join(kept.upperDir, 'mine'), 'work');
    await before.deleteByJob('kept');
    stuck.gate = new Promise(() => undefined);
    before.create({ path: '/a', jobId: 'kept' }).catch(() => undefined);
    before.create({ path: '/b', jobId: 'new' }).catch(() => undefined);
    await expect.poll(() => stuck.specs.length).toBe(3);

    const { registry, host } = await fixture.load();
    await registry.recover();
    expect(registry.list()).toEqual([]);
    expect(host.specs).toEqual([]);
    expect(host.cleared).toHaveLength(2);
    const state = parseToml(await readFile(fixture.stateFile, 'utf8'));
    expect(state['mounts']).toEqual([]);
    expect(state['unmounted']).toMatchObject([{ job_id: 'kept' }]);
    const again = await registry.create({ path: '/a', jobId: 'kept' });
    expect(again.upperDir).toBe(kept.upperDir);
  });

  it('never loses a mount to a crash while it is coming back', async () => {
    const { registry: before } = await fixture.load();
    await before.create({ path: '/a', jobId: 'slow' });
    const { registry: crashed, host } = await fixture.load();
    host.gate = new Promise(() => undefined);
    void crashed.recover();
    crashed.create({ path: '/b', jobId: 'other' }).catch(() => undefined);
    await expect
      .poll(async () => (parseToml(await readFile(fixture.stateFile, 'utf8'))['mounts'] as unknown[]).length)
      .toBe(2);
    const { registry } = await fixture.load();
    await registry.recover();
    expect(registry.list().map((record) => record.jobId)).toEqual(['slow']);
  });
});

describe('the state file', () => {
  it('is set aside when it is damaged, and nothing is lost with it', async () => {
    await writeFile(fixture.stateFile, 'mounts = [[[');
    const { registry } = await fixture.load();
    await registry.create({ path: '/a' });
    const kept = (await readdir(fixture.folder)).filter((name) => name.startsWith('state.toml.damaged-'));
    expect(kept).toHaveLength(1);
    expect(await readFile(join(fixture.folder, kept[0] as string), 'utf8')).toBe('mounts = [[[');
    expect(fixture.log.lines.join('\n')).toContain('the state file is damaged');
  });
});

describe('a mount that ends by itself', () => {
  it('is recorded as unmounted when somebody unmounted it by hand, and keeps its changes for its job', async () => {
    const { registry, host } = await fixture.load();
    const { mountId, upperDir } = await registry.create({ path: '/a', jobId: 'j' });
    await writeFile(join(upperDir, 'mine'), 'work');
    host.end(mountId, 'unmounted');
    expect(() => registry.get(mountId)).toThrow('not found');
    await expect.poll(async () => readFile(fixture.stateFile, 'utf8')).toContain('state = "Unmounted"');
    expect((await registry.create({ path: '/a', jobId: 'j' })).upperDir).toBe(upperDir);
  });

  it('is mounted again when its connection broke', async () => {
    const { registry, host } = await fixture.load(undefined, { retryDelayMs: 10 });
    const { mountId } = await registry.create({ path: '/a' });
    host.end(mountId, 'died');
    expect(registry.get(mountId).state).toEqual({ Failed: { reason: 'the connection to the kernel broke' } });
    await expect.poll(() => registry.get(mountId).state).toBe('Ready');
    expect(host.specs).toHaveLength(2);
  });
});

describe('records of other programs', () => {
  it('are mounted: those of the HTTP service and those of the command line', async () => {
    await mkdir(join(fixture.folder, 'up'));
    await writeFile(
      fixture.stateFile,
      `[[mounts]]
mount_id = "0a0a0a0a-1111-2222-3333-444444444444"
job_id = "http"
path = "/third-party"
mountpoint = "/mnt/http"
upper_dir = "${fixture.folder}/up/http"
created_at_epoch_ms = 1700000000000

[[mounts]]
job_id = "cli"
mountpoint = "/mnt/cli"
upper_id = "0b0b0b0b-1111-2222-3333-444444444444"
upper_dir = "${fixture.folder}/up/cli"

[[mounts]]
mount_id = "0c0c0c0c-1111-2222-3333-444444444444"
path = "/"
cl = "CL9"
mountpoint = "/mnt/cl"
upper_dir = "${fixture.folder}/up/cl"
cl_dir = "${fixture.folder}/cl/x"
created_at_epoch_ms = 1700000000000
`,
    );
    const { registry, host } = await fixture.load();
    await registry.recover();
    expect(registry.getByJob('http')).toMatchObject({
      path: '/third-party',
      state: 'Ready',
      createdAtEpochMs: 1.7e12,
    });
    expect(registry.getByJob('cli')).toMatchObject({
      mountId: '0b0b0b0b-1111-2222-3333-444444444444',
      path: '/',
      state: 'Ready',
    });
    const withCl = registry.get('0c0c0c0c-1111-2222-3333-444444444444');
    expect(withCl).toMatchObject({ cl: 'CL9', clDir: `${fixture.folder}/cl/x` });
    expect(withCl.state).toMatchObject({
      Failed: { reason: expect.stringContaining('change lists are not supported') },
    });
    expect(host.specs.map((spec) => spec.mountpoint).sort()).toEqual(['/mnt/cli', '/mnt/http']);
    expect(existsSync(`${fixture.folder}/up/http`)).toBe(true);
  });
});
