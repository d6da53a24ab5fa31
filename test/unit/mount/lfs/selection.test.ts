// Which paths of a mount are meant.
import { expect, test } from 'vitest';
import { createSelection, selectedPaths } from '../../../../src/mount/lfs/selection.ts';

test('paths are from the root, each once, and not those that another one holds', () => {
  expect(selectedPaths({ paths: ['/a/', 'a-b', 'a/b', 'a', './c//d', 'ä'] })).toEqual([
    'a',
    'a-b',
    'c/d',
    'Ã¤',
  ]);
  expect(selectedPaths({ paths: [] })).toEqual(['']);
  expect(selectedPaths({ paths: ['a', '/', 'b'] })).toEqual(['']);
  expect(() => selectedPaths({ paths: ['a/../b'] })).toThrow('name paths from the root of the mount');
});

test('what lies in a selected folder is meant, and what is named alike is not', () => {
  const isSelected = createSelection(['a', 'b/c']);
  expect(['a', 'a/x/y', 'b/c', 'b/c/d'].every(isSelected)).toBe(true);
  expect(['', 'ab', 'b', 'b/cd', 'x/a'].some(isSelected)).toBe(false);
  expect(createSelection([''])('anything')).toBe(true);
});

test('a hundred thousand of them are no trouble', () => {
  const paths = Array.from({ length: 100_000 }, (_, n) => `folder/${n % 100}/file-${n}`);
  const isSelected = createSelection(selectedPaths({ paths }));
  expect(paths.every(isSelected)).toBe(true);
  expect(isSelected('folder/1')).toBe(false);
});
