// Large files of mounts, through the registry: which mounts have them, and what is refused.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LfsCare, MountLfs } from '../../../src/mount/lfs/mount-lfs.ts';
import { createRegistryFixture, type RegistryFixture } from './registry-fixture.ts';

let files: RegistryFixture;
beforeEach(() => {
  files = createRegistryFixture();
});
afterEach(() => files.remove());

const UNKNOWN = '00000000-0000-0000-0000-000000000000';

test('a mount that serves hands out its large files, and the host those of all', async () => {
  const { registry, host } = await files.load();
  const { mountId } = await registry.create({ path: '/a' });
  host.mountLfs = {} as MountLfs;
  host.lfsCare = {} as LfsCare;
  expect(registry.lfs(mountId)).toBe(host.mountLfs);
  expect(registry.lfsCare).toBe(host.lfsCare);
});

test('an unknown mount, one that does not serve, and a registry that stops are refused', async () => {
  const { registry, host } = await files.load();
  const { mountId } = await registry.create({ path: '/a' });
  expect(() => registry.lfs(UNKNOWN)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  host.end(mountId, 'died');
  expect(() => registry.lfs(mountId)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  await registry.stop();
  expect(() => registry.lfs(mountId)).toThrow(expect.objectContaining({ code: 'SHUTDOWN' }));
});

test('what is remembered of a mount is forgotten when nothing of it is kept, and not before', async () => {
  const { registry, host } = await files.load();
  const unchanged = await registry.create({ path: '/a' });
  await registry.delete(unchanged.mountId);
  expect(host.forgotten).toEqual([unchanged.mountId]);

  const changed = await registry.create({ path: '/b', jobId: 'job' });
  writeFileSync(join(changed.upperDir, 'x'), 'x');
  await registry.delete(changed.mountId);
  expect(host.forgotten).toHaveLength(1);
  await registry.deleteByJob('job', { purge: true });
  expect(host.forgotten).toEqual([unchanged.mountId, changed.mountId]);
});
