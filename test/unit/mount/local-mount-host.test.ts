// The host over real layers and a real overlay; only the kernel is played.
import { existsSync } from 'node:fs';
import { mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Filesystem } from '../../../src/fuse/filesystem.ts';
import type { FuseMountOptions, MountFilesystem } from '../../../src/fuse/fuse-mount.ts';
import { createLocalMountHost } from '../../../src/mount/local-mount-host.ts';
import type { MountHost, MountSpec } from '../../../src/mount/mount-host.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { MemoryUpstream } from '../../support/memory-upstream.ts';
import { makeTestFolder } from '../../support/test-folder.ts';
import { createRecordingLogger } from './registry-fixture.ts';

/** A mount of the played kernel. */
interface PlayedMount {
  readonly filesystem: Filesystem;
  readonly options: FuseMountOptions;
  busy: boolean;
  end(): void;
}

let folder: string;
let upstream: MemoryUpstream;
let store: ObjectStore;
let objects: LazyObjects;
let host: MountHost;
let mounts: PlayedMount[];
let mountFailure: Error | undefined;
let log: ReturnType<typeof createRecordingLogger>;

const mountFilesystem: MountFilesystem = async (create, options) => {
  const filesystem = create({ invalidateInode: () => undefined, invalidateEntry: () => undefined });
  if (mountFailure !== undefined) {
    await filesystem.destroy();
    throw mountFailure;
  }
  let end!: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  }).then(() => filesystem.destroy());
  const played = { filesystem, options, busy: false, end };
  mounts.push(played);
  return {
    mountpoint: options.mountpoint,
    connection: undefined,
    features: { passthrough: false, openRequests: true },
    ended,
    async unmount({ lazy = false } = {}) {
      if (played.busy && !lazy) throw new ErrnoError('EBUSY', 'in use');
      if (!played.busy) {
        end();
        await ended;
      }
    },
  };
};

beforeEach(async () => {
  folder = await realpath(makeTestFolder());
  upstream = new MemoryUpstream();
  upstream.head = {
    ...upstream.snapshot(upstream.add({ 'a.txt': 'hello', sub: { b: 'x' } })),
    path: '/project',
  };
  store = openObjectStore(join(folder, 'store'));
  objects = createLazyObjects({ store, upstream });
  mounts = [];
  mountFailure = undefined;
  log = createRecordingLogger();
  host = createLocalMountHost({
    upstream,
    objects,
    binding: { name: 'kernel', reason: '', limits: [{ name: 'some', text: 'Some.' }], mountFilesystem },
    traffic: () => ({ fetchedBytes: 11, requests: 2 }),
    rules: { reserved: [join(folder, 'store')], allowed: [] },
    log,
  });
});
afterEach(async () => {
  for (const mount of mounts) mount.end();
  await host.close();
  await objects.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function spec(fields: Partial<MountSpec> = {}): MountSpec {
  return {
    id: '1',
    path: '/project',
    commit: undefined,
    mountpoint: join(folder, 'm/p'),
    upperDir: join(folder, 'upper/1'),
    workDir: join(folder, 'upper/.work/1'),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    allowOther: false,
    ...fields,
  };
}

describe('mounting', () => {
  it('makes the folders, shows the head, and has listed the root when it resolves', async () => {
    const report = await host.mount(spec());
    expect(report).toEqual({
      id: '1',
      commit: 'c'.repeat(40),
      features: { passthrough: false, openRequests: true },
      snapshot: { commit: 'c'.repeat(40), tree: upstream.head?.tree, time: 1_700_000_000 },
      mountpoint: join(folder, 'm/p'),
      ownsMountpoint: true,
      binding: { name: 'kernel', limits: [{ name: 'some', text: 'Some.' }] },
      fetchedBytes: 11,
      requests: 2,
      faults: [],
      lfs: { server: undefined, problem: undefined, activeFolders: [], transfers: [], failures: [] },
    });
    expect(upstream.count('fetchTree')).toBe(1);
    expect(existsSync(join(folder, 'upper/1'))).toBe(true);
    expect(mounts[0]?.options).toMatchObject({ source: 'scorpio:/project', allowOther: false });
    const context = { uid: 0, gid: 0, pid: 1, signal: new AbortController().signal };
    const entry = await mounts[0]?.filesystem.lookup(1, 'a.txt', context);
    expect(entry?.attributes.size).toBe(5);
  });

  it('needs no server for a known snapshot whose root is in the store', async () => {
    const { snapshot } = await host.mount(spec());
    await host.unmount('1');
    upstream.fault = () => new UpstreamError('unreachable', 'down');
    upstream.calls.length = 0;
    await host.mount(spec({ snapshot }));
    expect(upstream.calls).toEqual([]);
  });

  it.each([
    [new UpstreamError('not-found', 'no such folder'), 'not-found'],
    [new UpstreamError('unreachable', 'connection refused'), 'upstream'],
    [new UpstreamError('timeout', 'too slow'), 'upstream'],
  ])('fails with what the server says (%s), and leaves nothing', async (fault, kind) => {
    upstream.fault = () => fault;
    await expect(host.mount(spec())).rejects.toMatchObject({
      kind,
      message: `cannot mount /project: ${fault.message}`,
    });
    expect((await readdir(folder)).sort()).toEqual(['store']);
    expect(host.report('1')).toBeUndefined();
  });

  it('fails when the root cannot be listed', async () => {
    upstream.fault = (call) =>
      call.method === 'fetchTree' ? new UpstreamError('server', 'broken') : undefined;
    await expect(host.mount(spec())).rejects.toMatchObject({ kind: 'upstream' });
    expect((await readdir(folder)).sort()).toEqual(['store']);
  });

  it('removes what it made when the kernel refuses', async () => {
    mountFailure = new ErrnoError('EPERM', 'no permission');
    await expect(host.mount(spec())).rejects.toMatchObject({
      kind: 'fuse',
      message: expect.stringContaining('no permission'),
    });
    expect(existsSync(join(folder, 'm'))).toBe(false);
    expect(existsSync(join(folder, 'upper/1'))).toBe(false);
  });

  it('refuses a place that is not empty, in the store, or taken', async () => {
    await mkdir(join(folder, 'full/x'), { recursive: true });
    await expect(host.mount(spec({ mountpoint: join(folder, 'full') }))).rejects.toThrow('not empty');
    await expect(host.mount(spec({ mountpoint: join(folder, 'store/x') }))).rejects.toThrow('its own files');
    const two = await Promise.allSettled([
      host.mount(spec()),
      host.mount(spec({ id: '2', upperDir: join(folder, 'upper/2') })),
    ]);
    expect(two.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(host.mount(spec({ id: '3' }))).rejects.toThrow('is the mount point of another mount');
  });

  it('keeps the last twenty faults', async () => {
    await host.mount(spec());
    for (let index = 1; index <= 25; index++)
      mounts[0]?.options.onFault?.('READ', new Error(`fault ${index}`));
    const faults = host.report('1')?.faults ?? [];
    expect(faults).toHaveLength(20);
    expect(faults.at(-1)).toBe('READ: fault 25');
  });
});

describe('unmounting', () => {
  it('removes the mount point that it made, and keeps one that was there', async () => {
    await host.mount(spec());
    await host.unmount('1');
    expect(existsSync(join(folder, 'm/p'))).toBe(false);
    await mkdir(join(folder, 'there'));
    await host.mount(spec({ mountpoint: join(folder, 'there') }));
    await host.unmount('1');
    expect(existsSync(join(folder, 'there'))).toBe(true);
    await host.unmount('1');
  });

  it('does not let a detached mount be mounted again while it is in use', async () => {
    await host.mount(spec());
    (mounts[0] as PlayedMount).busy = true;
    await host.unmount('1', { lazy: true });
    await expect(host.mount(spec())).rejects.toThrow('processes still use the earlier mount');
    mounts[0]?.end();
    await expect.poll(() => host.mount(spec()).then(() => 'mounted', String)).toBe('mounted');
  });

  it('is heard of when somebody else does it', async () => {
    const ended: string[] = [];
    host.onEnded((id, end) => ended.push(`${id} ${end}`));
    await host.mount(spec());
    mounts[0]?.end();
    await expect.poll(() => ended).toEqual(['1 unmounted']);
    expect(host.report('1')).toBeUndefined();
    expect(existsSync(join(folder, 'm/p'))).toBe(false);
  });

  it('happens to all mounts when the host closes, and mounts in the making are given up', async () => {
    const ended: string[] = [];
    host.onEnded((id) => ended.push(id));
    await host.mount(spec());
    upstream.gate = () => new Promise(() => undefined);
    const hanging = host.mount(
      spec({ id: '2', mountpoint: join(folder, 'q'), upperDir: join(folder, 'upper/2') }),
    );
    await Promise.all([expect(hanging).rejects.toThrow('the daemon is stopping'), host.close()]);
    expect(host.report('1')).toBeUndefined();
    expect(ended).toEqual([]);
    await expect(host.mount(spec({ id: '3' }))).rejects.toThrow('stopping');
  });
});

it('ignores what is no dead mount when it clears', async () => {
  await writeFile(join(folder, 'file'), '');
  await host.clearDead(join(folder, 'file'));
  await host.clearDead(join(folder, 'missing'));
  expect(existsSync(join(folder, 'file'))).toBe(true);
});
