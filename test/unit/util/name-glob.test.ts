// Which names a glob matches.
import { expect, test } from 'vitest';
import { compileNameGlob } from '../../../src/util/name-glob.ts';

test.each<[string, string[], string[]]>([
  ['a.ts', ['a.ts'], ['a-ts', 'a.tsx', '']],
  ['*', ['a', '.hidden', ''], []],
  ['a*b*c', ['abc', 'aXbYc', 'abcbc'], ['ab', 'acb', 'abcd']],
  ['*.t?', ['a.ts', '.tß', 'a.tt.ts'], ['a.t', 'a.tsx']],
  ['[a-c]1', ['a1', 'c1'], ['d1', '-1', 'a']],
  ['[!a-c]1', ['d1', '-1'], ['a1', '1']],
  ['[^ab]', ['c'], ['a', 'b']],
  ['[]a-]', [']', 'a', '-'], ['b', '']],
  ['[a\\]]', ['a', ']'], ['\\']],
  ['[[:digit:]_]x', ['1x', '_x'], [':x', 'dx']],
  ['a\\[b', ['a[b'], ['ab']],
  ['\\*\\?', ['*?'], ['ab', '\\*\\?']],
  ['g?ß', ['göß', 'g😀ß'], ['gß']],
])('%j', (glob, matching, others) => {
  const matches = compileNameGlob(glob);
  expect([...matching, ...others].filter(matches)).toEqual(matching);
});

test.each(['[', 'a[b', '[]'])('a bracket that is not closed means nothing: %j', (glob) => {
  expect(() => compileNameGlob(glob)).toThrow('a bracket that is not closed');
});

test('a backslash at the end means nothing', () => {
  expect(() => compileNameGlob('a\\')).toThrow('ends in a backslash');
});
