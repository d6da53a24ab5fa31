// The failures that a mount shows.
import { expect, test } from 'vitest';
import type { TransferFailure } from '../../../../src/lfs/download/lfs-downloads.ts';
import { RecentFailures } from '../../../../src/lfs/download/recent-failures.ts';

const failure = (nth: number, reason = 'gone'): TransferFailure => ({
  oid: `${nth}`,
  size: 10 + nth,
  path: `p${nth}`,
  reason,
  atMs: nth,
});

test('each large file is kept once, with its last reason, and the last twenty of them', () => {
  const failures = new RecentFailures(20);
  for (let nth = 0; nth < 25; nth++) failures.add(failure(nth));
  failures.add(failure(10, 'refused'));
  const list = failures.list();
  expect(list).toHaveLength(20);
  expect(list[0]).toEqual(failure(5));
  expect(list.at(-1)).toEqual(failure(10, 'refused'));
});

test('what has come after all is forgotten, but not a pointer of it that tells another size', () => {
  const failures = new RecentFailures(20);
  failures.add(failure(1));
  failures.add({ ...failure(1), path: 'copy' });
  failures.add({ ...failure(1), path: 'liar', size: 3 });
  failures.forget('1', 11);
  expect(failures.list().map(({ path }) => path)).toEqual(['liar']);
});
