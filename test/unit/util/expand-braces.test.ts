// Alternatives in braces.
import { expect, test } from 'vitest';
import { expandBraces } from '../../../src/util/expand-braces.ts';

test.each<[string, string[]]>([
  ['a', ['a']],
  ['a.{b,c}', ['a.b', 'a.c']],
  ['{a,b}/{c,d}', ['a/c', 'a/d', 'b/c', 'b/d']],
  ['x{a,{b,c}d,}y', ['xay', 'xbdy', 'xcdy', 'xy']],
  ['{a}', ['{a}']],
  ['{{a,b}}', ['{a}', '{b}']],
  ['{a,b', ['{a,b']],
  ['\\{a,b}', ['\\{a,b}']],
  ['a,b}', ['a,b}']],
])('%j', (pattern, expanded) => {
  expect(expandBraces(pattern)).toEqual(expanded);
});
