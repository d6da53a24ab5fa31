// More names of one object.
import { expect, test } from 'vitest';
import { type Alias, Aliases } from '../../../src/overlay/aliases.ts';
import type { Inode } from '../../../src/overlay/inode.ts';

const parent = { ino: 1 } as Inode;
const other = { ino: 2 } as Inode;
const named = (name: string, folder = parent): Alias => ({ parent: folder, name });

test('a name is there once, and one of another folder is another', () => {
  const aliases = new Aliases([named('a'), named('a'), named('a', other)]);
  expect([...aliases]).toEqual([named('a'), named('a', other)]);
  aliases.delete(named('a'));
  aliases.delete(named('b'));
  expect([...aliases]).toEqual([named('a', other)]);
});

test('each is taken once, whatever came and went meanwhile', () => {
  const aliases = new Aliases([named('a'), named('b'), named('c')]);
  expect(aliases.take()).toEqual(named('a'));
  aliases.delete(named('b'));
  aliases.add(named('d'));
  expect([aliases.take(), aliases.take(), aliases.take()]).toEqual([named('c'), named('d'), undefined]);
  aliases.add(named('e'));
  expect(aliases.take()).toEqual(named('e'));
  expect(aliases.size).toBe(0);
});
