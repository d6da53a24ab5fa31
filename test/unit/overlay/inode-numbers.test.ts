// Inode numbers by path and by upper inode.
import { expect, test } from 'vitest';
import { lowerIno, upperIno } from '../../../src/overlay/inode-numbers.ts';

const HALF = 2 ** 51;

test('the root is number 1, and nothing else is', () => {
  expect(lowerIno('')).toBe(1);
  for (const path of ['a', '\u0000', '/', 'ÿ']) expect(lowerIno(path)).toBeGreaterThan(1);
});

test('a path always has the same number', () => {
  expect(lowerIno('src/main.c')).toBe(lowerIno('src/main.c'));
  expect(lowerIno('src/main.c')).not.toBe(lowerIno('src/main.h'));
});

test('numbers by path and numbers of upper objects never meet, and are exact', () => {
  for (const path of ['a', 'a/b', 'x'.repeat(4000)]) expect(lowerIno(path)).toBeLessThan(HALF);
  for (const ino of [1, 2 ** 32, 2 ** 40 + 3]) {
    expect(upperIno(ino)).toBe(HALF + ino);
    expect(Number.isSafeInteger(upperIno(ino))).toBe(true);
  }
});

test('a hundred thousand paths have a hundred thousand numbers', () => {
  const numbers = new Set<number>();
  for (let index = 0; index < 100_000; index++)
    numbers.add(lowerIno(`folder-${index % 317}/file-${index}.ts`));
  expect(numbers.size).toBe(100_000);
});
