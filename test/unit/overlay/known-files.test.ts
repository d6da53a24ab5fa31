// The table of files that are no objects, against a Map.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { childIno, lowerIno, pathSeed } from '../../../src/overlay/inode-numbers.ts';
import { KnownFiles } from '../../../src/overlay/known-files.ts';

const COUNT = 100_000;

/** Numbers as the overlay gives them. */
function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => lowerIno(`src/folder/file-${index}.ts`));
}

test('what was added is found, and what was removed is not', () => {
  // Few numbers, many of which share their low bits, and so their slot.
  const ino = fc.nat(40).map((n) => 2 + n * 2 ** 32);
  const step = fc.record({ ino, action: fc.constantFrom('add', 'refer', 'release', 'remove') });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new KnownFiles();
      const model = new Map<number, number>();
      for (const { ino, action } of steps) {
        const slot = table.find(ino);
        expect(slot >= 0).toBe(model.has(ino));
        if (action === 'add' && slot < 0) {
          table.add(ino, ino % 7, ino % 11, 1);
          model.set(ino, 1);
        } else if (action === 'refer' && slot >= 0) {
          table.refer(slot);
          model.set(ino, (model.get(ino) ?? 0) + 1);
        } else if (action === 'release' && slot >= 0) {
          const left = Math.max(0, (model.get(ino) ?? 0) - 2);
          expect(table.release(slot, 2)).toBe(left);
          model.set(ino, left);
        } else if (action === 'remove' && slot >= 0) {
          table.remove(slot);
          model.delete(ino);
        }
        for (const [known, references] of model) {
          const at = table.find(known);
          expect(table.referencesAt(at)).toBe(references);
          expect([table.folderAt(at), table.indexAt(at)]).toEqual([known % 7, known % 11]);
        }
        expect(table.size).toBe(model.size);
      }
    }),
  );
});

test('it takes less than 60 bytes for each of many files, and gives the memory back', () => {
  const table = new KnownFiles();
  const empty = table.byteLength;
  const inos = numbers(COUNT);
  for (const [index, ino] of inos.entries()) table.add(ino, 0, index, 1);
  expect(table.byteLength).toBeLessThan(COUNT * 60);
  for (const ino of inos) table.remove(table.find(ino));
  expect(table.size).toBe(0);
  expect(table.byteLength).toBe(empty);
});

test('files are found by their folders', () => {
  const table = new KnownFiles();
  for (const [index, ino] of numbers(30).entries()) table.add(ino, index % 3, index, 1);
  const expected = numbers(30).filter((_, index) => index % 3 !== 1);
  expect(new Set(table.inFolders(Uint8Array.of(1, 0, 1)))).toEqual(new Set(expected));
});

test('the number of a child is that of its path', () => {
  for (const [folder, name] of [
    ['', 'a'],
    ['', '\xff'],
    ['a', 'b'],
    ['some/long er/path', 'n\xe4me'],
  ] as const) {
    expect(childIno(pathSeed(folder), name)).toBe(lowerIno(folder === '' ? name : `${folder}/${name}`));
  }
});
