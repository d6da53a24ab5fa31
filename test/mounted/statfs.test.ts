// statfs(2) on a real mount.
import { statfsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

test('tells the space of the disk that holds the upper layer', async () => {
  const root = await mounts.fresh();
  const [mount, disk] = [statfsSync(root), statfsSync(mounts.fixture.folder)];
  expect(mount.bsize * mount.blocks).toBe(disk.bsize * disk.blocks);
  const free = mount.bsize * mount.bavail;
  expect(Math.abs(free - disk.bsize * disk.bavail)).toBeLessThan(0.2 * disk.bsize * disk.blocks);
  expect(mount.ffree).toBeGreaterThan(0);
});

test('names may have 255 bytes', async () => {
  const root = await mounts.fresh();
  expect(await python('print(os.statvfs(sys.argv[1]).f_namemax)', root)).toBe('255');
});
