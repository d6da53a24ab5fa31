// The paths that are remembered, and the references that they hold.
import { beforeEach, expect, it } from 'vitest';
import type { Filesystem } from '../../../../src/fuse/filesystem.ts';
import { InodeReferences } from '../../../../src/fuse/native/inode-references.ts';
import { PathCache } from '../../../../src/fuse/native/path-cache.ts';

let forgotten: [ino: number, count: number][];
let references: InodeReferences;

beforeEach(() => {
  forgotten = [];
  const forget: Filesystem['forget'] = (ino, count) => void forgotten.push([ino, count]);
  references = new InodeReferences({ forget } as Filesystem);
});

/** Puts a path with the reference that a lookup gives. */
function put(cache: PathCache, path: string, ino: number, isFolder = false): void {
  references.take(ino);
  cache.put(path, ino, isFolder);
  references.drop(ino);
}

it('gives an inode back, with all its references, when its last holder leaves', () => {
  references.take(5);
  references.take(5);
  references.hold(5);
  for (let holder = 0; holder < 2; holder++) references.drop(5);
  expect(forgotten).toEqual([]);
  references.drop(5);
  expect(forgotten).toEqual([[5, 2]]);
  expect(references.size).toBe(0);
});

it('keeps the root of itself, and gives its references back at once', () => {
  references.take(1);
  references.drop(1);
  expect(forgotten).toEqual([[1, 1]]);
});

it('drops what was used longest ago', () => {
  const cache = new PathCache(references, 2);
  put(cache, '/a', 2);
  put(cache, '/b', 3);
  expect(cache.take('/a')).toBe(2);
  references.drop(2);
  put(cache, '/c', 4);
  expect(forgotten).toEqual([[3, 1]]);
  expect([cache.take('/a'), cache.take('/b'), cache.take('/c')]).toEqual([2, undefined, 4]);
});

it('forgets all below a folder that moved, and nothing beside it', () => {
  const cache = new PathCache(references, 10);
  for (const [path, ino] of [
    ['/a/x', 3],
    ['/a/b/y', 4],
    ['/ab', 5],
  ] as const)
    put(cache, path, ino);
  put(cache, '/a', 2, true);
  const { generation } = cache;
  cache.deleteTree('/a');
  expect(forgotten.map(([ino]) => ino).sort((a, b) => a - b)).toEqual([2, 3, 4]);
  expect(cache.take('/ab')).toBe(5);
  expect(cache.generation).not.toBe(generation);
});

it('leads a path that is put again to the new inode', () => {
  const cache = new PathCache(references, 10);
  put(cache, '/a', 2);
  put(cache, '/a', 3);
  expect(cache.take('/a')).toBe(3);
  expect(forgotten).toEqual([[2, 1]]);
});
