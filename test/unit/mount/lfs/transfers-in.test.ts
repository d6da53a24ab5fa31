// Which transfers are in a mount, and under which path.
import { expect, test } from 'vitest';
import { transfersIn } from '../../../../src/mount/lfs/transfers-in.ts';

const at = (path: string): { path: string; oid: string } => ({ path, oid: 'x' });

test('transfers below the mounted path are shown by their path in the mount, others are not', () => {
  const all = [at('project/a/b.bin'), at('project'), at('project-2/c.bin'), at('d.bin')];
  expect(transfersIn(all, '/project')).toEqual([at('a/b.bin')]);
  expect(transfersIn(all, '/project/a')).toEqual([at('b.bin')]);
  expect(transfersIn(all, '/')).toEqual(all);
});
