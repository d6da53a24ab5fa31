// The limits of a binding are stated once, and the docs repeat them.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FUSE_NATIVE_LIMITS } from '../../../src/fuse/binding-limits.ts';

const docs = readFileSync(new URL('../../../docs/fuse-bindings.md', import.meta.url), 'utf8');

it('docs/fuse-bindings.md has every limit, and no other', () => {
  const rows = docs.split('\n').filter((line) => /^\| `[a-z0-9-]+` \|/.test(line));
  const stated = FUSE_NATIVE_LIMITS.map(({ name, text }) => `| \`${name}\` | ${text} |`);
  expect(rows.filter((row) => !/^\| `(?:kernel|fuse-native|auto)` \|/.test(row))).toEqual(stated);
});

it('each limit has a name of its own', () => {
  const names = FUSE_NATIVE_LIMITS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
