// Attributes in the package's arrays of 32-bit numbers.
import { expect, it } from 'vitest';
import type { Attributes } from '../../../../src/fuse/filesystem.ts';
import { encodeStat, encodeStatfs, foldInode } from '../../../../src/fuse/native/stat-arrays.ts';

const attributes: Attributes = {
  ino: 7,
  mode: 0o100644,
  nlink: 0,
  uid: 4_294_967_294,
  gid: 5,
  rdev: 0x1_0007,
  size: 5 * 2 ** 32 + 9,
  blocks: 2 ** 33 + 1,
  blksize: 4096,
  atime: 1_700_000_000,
  atimeNsec: 123_999_999,
  mtime: -1,
  mtimeNsec: 500_000_000,
  ctime: 2 ** 33,
  ctimeNsec: 0,
};

it('splits large numbers, cuts times to ms, and shows no time before 1970', () => {
  const numbers = encodeStat(attributes);
  expect([...numbers.subarray(0, 12)]).toEqual([
    0o100644, 4_294_967_294, 5, 9, 5, 0, 0, 7, 0x1_0007, 4096, 1, 2,
  ]);
  const time = (at: number): number => (numbers[at] ?? 0) + (numbers[at + 1] ?? 0) * 2 ** 32;
  expect([time(12), time(14), time(16)]).toEqual([1_700_000_000_123, 0, 2 ** 33 * 1000]);
});

it('folds inode numbers to 32 bits, the same always, and hardly two to one', () => {
  expect([foldInode(1), foldInode(4_294_967_295)]).toEqual([1, 4_294_967_295]);
  const many = Array.from({ length: 20_000 }, (_, index) => foldInode(2 ** 51 + index * 7));
  expect(new Set(many).size).toBe(many.length);
  expect(many.every((ino) => ino > 1 && ino < 2 ** 32)).toBe(true);
  expect(foldInode(2 ** 40 + 5)).toBe(foldInode(2 ** 40 + 5));
});

it('gives numbers of large filesystems in larger blocks', () => {
  const numbers = encodeStatfs({
    blockSize: 4096,
    blocks: 2 ** 34,
    blocksFree: 2 ** 33,
    blocksAvailable: 2 ** 32,
    files: 2 ** 40,
    filesFree: 12,
    nameMax: 255,
  });
  const scale = (numbers[1] ?? 0) / 4096;
  expect((numbers[2] ?? 0) * scale).toBe(2 ** 34);
  expect((numbers[3] ?? 0) * scale).toBe(2 ** 33);
  expect((numbers[4] ?? 0) * scale).toBe(2 ** 32);
  expect([numbers[5], numbers[6], numbers[10]]).toEqual([2 ** 32 - 1, 12, 255]);
});
