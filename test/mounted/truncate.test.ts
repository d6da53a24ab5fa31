// truncate(2) and ftruncate(2) on a real mount.
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  fstatSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('shrinks and grows lower files and new ones', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, 'hello, lower\n');
  for (const name of ['README.md', 'new']) {
    truncateSync(`${root}/${name}`, 5);
    expect(readFileSync(`${root}/${name}`, 'utf8')).toBe('hello');
    truncateSync(`${root}/${name}`, 8);
    expect(readFileSync(`${root}/${name}`, 'utf8')).toBe('hello\0\0\0');
  }
});

test('to zero forgets the content of a lower file', async () => {
  const root = await mounts.fresh();
  truncateSync(`${root}/big.bin`);
  expect(statSync(`${root}/big.bin`).size).toBe(0);
  truncateSync(`${root}/big.bin`, 10);
  expect(readFileSync(`${root}/big.bin`)).toEqual(Buffer.alloc(10));
});

test('what the page cache held beyond the new end is gone', async () => {
  const root = await mounts.fresh();
  expect(readFileSync(`${root}/big.bin`).length).toBe(300_000);
  truncateSync(`${root}/big.bin`, 5000);
  truncateSync(`${root}/big.bin`, 20_000);
  expect(
    readFileSync(`${root}/big.bin`)
      .subarray(5000)
      .every((byte) => byte === 0),
  ).toBe(true);
});

test('works through a handle, also when the file has no name any more', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/README.md`, 'r+');
  unlinkSync(`${root}/README.md`);
  ftruncateSync(fd, 3);
  expect(readFileSync(fd, 'utf8')).toBe('hel');
  expect(fstatSync(fd)).toMatchObject({ size: 3, nlink: 0 });
  closeSync(fd);
});

test('a folder is EISDIR, a missing file ENOENT', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => truncateSync(`${root}/docs`, 0))).toBe('EISDIR');
  expect(await codeOf(() => truncateSync(`${root}/missing`, 0))).toBe('ENOENT');
});

test('to more than 4 GiB needs no space', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/huge`, 'start');
  truncateSync(`${root}/huge`, 6 * 2 ** 30);
  const { size, blocks } = statSync(`${root}/huge`);
  expect(size).toBe(6 * 2 ** 30);
  expect(blocks).toBeLessThan(1000);
});
