// Packed sizes: whatever goes in comes out, and nonsense is told apart.
import { describe, expect, test } from 'vitest';
import { encodeRawTree } from '../../../src/git/raw-tree.ts';
import { countBlobs, packSizes, unpackSizes } from '../../../src/git/sized-tree.ts';

const SIZES = [0, 1, 126, 127, 128, 16_383, 2 ** 31, 2 ** 32 - 1, 2 ** 40, Number.MAX_SAFE_INTEGER - 1];

describe('packed sizes', () => {
  test('come back as they were, also above 32 bits, and unknown ones as unknown', () => {
    const sizes = [...SIZES, undefined, 5];
    const unpacked = unpackSizes(packSizes(sizes), sizes.length);
    expect([...(unpacked ?? [])]).toEqual([...SIZES, -1, 5]);
    expect(unpackSizes(packSizes([]), 0)).toHaveLength(0);
  });

  test('take two bytes for a file of some kilobytes', () => {
    expect(packSizes([4000, 300, 16_000])).toHaveLength(6);
  });

  test('another number of blobs, a cut and an endless number are no packed sizes', () => {
    const packed = packSizes(SIZES);
    expect(unpackSizes(packed, SIZES.length + 1)).toBeUndefined();
    expect(unpackSizes(packed, SIZES.length - 1)).toBeUndefined();
    expect(unpackSizes(packed.subarray(0, -1), SIZES.length)).toBeUndefined();
    expect(unpackSizes(Buffer.alloc(9, 0xff), 1)).toBeUndefined();
    expect(unpackSizes(Buffer.from('ffffffffffffff7f', 'hex'), 1)).toBeUndefined();
  });
});

test('files, executables and symlinks have a size, folders and submodules have none', () => {
  const modes = [0o100644, 0o100755, 0o120000, 0o40000, 0o160000, 0o100664];
  const id = 'a'.repeat(40);
  expect(countBlobs(encodeRawTree(modes.map((mode, index) => ({ mode, name: `${index}`, id }))))).toBe(4);
});
