// Modes found again from a tree's id.
import { expect, test } from 'vitest';
import type { HashedEntry } from '../../../../src/upstream/mega/envelope.ts';
import { searchModes } from '../../../../src/upstream/mega/mode-search.ts';
import { encodeRawTree, parseRawTree } from '../../../../src/git/raw-tree.ts';
import type { RawTreeEntry } from '../../../../src/git/raw-tree.ts';
import { treeEntries } from '../../../../src/upstream/mega/tree-entries.ts';
import { hashObject } from '../../../../src/util/git-hash.ts';

const oidOf = (name: string): string => hashObject('blob', Buffer.from(name));

/** Entries in the order of their names, with these modes instead of 100644. */
const entriesWith = (count: number, modes: Record<number, number>): RawTreeEntry[] =>
  Array.from({ length: count }, (_, index) => {
    const name = `f${String(index).padStart(4, '0')}`;
    return { mode: modes[index] ?? 0o100644, name, id: oidOf(name) };
  });

const encode = (entries: readonly RawTreeEntry[]): Buffer => encodeRawTree(entries);

/** What `content-hash` tells of them: directories first. */
const listed = (entries: readonly RawTreeEntry[]): HashedEntry[] => {
  const all = entries.map(({ name, id, mode }) => ({ name, oid: id, isDirectory: mode === 0o40000 }));
  return [...all.filter((entry) => entry.isDirectory), ...all.filter((entry) => !entry.isDirectory)];
};

const find = (
  entries: readonly RawTreeEntry[],
  newer: readonly RawTreeEntry[] = [],
): Promise<Buffer | undefined> => searchModes(hashObject('tree', encode(entries)), listed(entries), newer);

test('up to three unusual modes are found in a small folder', async () => {
  for (const modes of [
    {},
    { 3: 0o100755 },
    { 0: 0o120000, 11: 0o160000 },
    { 1: 0o100755, 5: 0o120000, 10: 0o100755 },
  ]) {
    const entries = entriesWith(12, modes);
    expect((await find(entries))?.equals(encode(entries))).toBe(true);
  }
});

test('one unusual mode is found in a large folder', async () => {
  const entries = entriesWith(800, { 799: 0o160000 });
  expect((await find(entries))?.equals(encode(entries))).toBe(true);
});

test('directories take their place in the order of git', async () => {
  const entry = (mode: number, name: string): RawTreeEntry => ({ mode, name, id: oidOf(name) });
  const entries = [entry(0o100644, 'a.c'), entry(0o40000, 'a'), entry(0o100644, 'a0')];
  expect((await find(entries))?.equals(encode(entries))).toBe(true);
});

test('a newer version of the folder gives the modes of what it has, and an order that is not that of git', async () => {
  const all = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [index, 0o100755]));
  const entries = entriesWith(60, { ...all, 59: 0o100644 }).reverse();
  const newer = entries.slice(0, 58);
  expect(await find(entries)).toBeUndefined();
  expect((await find(entries, newer))?.equals(encode(entries))).toBe(true);
}, 60_000);

test('the search ends at its limits, and when it is given up', async () => {
  const entries = entriesWith(300, { 1: 0o100755, 2: 0o100755, 3: 0o100755, 4: 0o100755 });
  const id = hashObject('tree', encode(entries));
  const started = performance.now();
  expect(
    await searchModes(id, listed(entries), [], undefined, { maxTries: 5000, maxBytes: 1e9 }),
  ).toBeUndefined();
  expect(performance.now() - started).toBeLessThan(5000);
  const abort = new AbortController();
  const reason = new Error('enough');
  setTimeout(() => abort.abort(reason), 30);
  await expect(searchModes(id, listed(entries), [], abort.signal)).rejects.toBe(reason);
});

test('the event loop goes on turning while a search runs', async () => {
  const entries = entriesWith(300, { 1: 0o100755, 2: 0o100755, 3: 0o100755, 4: 0o100755 });
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await searchModes(hashObject('tree', encode(entries)), listed(entries), [], undefined, {
    maxTries: 40_000,
    maxBytes: 1e9,
  });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
});

test('what is no tree is recognised', () => {
  const payload = encode(entriesWith(3, { 1: 0o40000 }));
  expect(parseRawTree(payload)).toHaveLength(3);
  for (const wrong of [
    payload.subarray(0, -1),
    Buffer.from('no tree'),
    Buffer.from('100644 x\0short'),
    Buffer.from('9 x\0'),
  ]) {
    expect(treeEntries(wrong)).toBeUndefined();
  }
});
