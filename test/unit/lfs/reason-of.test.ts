// Reasons that are shown beside their path.
import { expect, test } from 'vitest';
import { reasonOf } from '../../../src/lfs/reason-of.ts';

test('a path at the beginning is left out, also the longer one in the monorepo', () => {
  expect(reasonOf('a/b.bin: the server is away', 'a/b.bin')).toBe('the server is away');
  expect(reasonOf('project/a/b.bin: the server is away', 'a/b.bin')).toBe('the server is away');
});

test('a path elsewhere stays', () => {
  const messages = ['the server says: /a: b', 'xa: no', 'no a', ''];
  expect(messages.map((message) => reasonOf(message, 'a'))).toEqual(messages);
});
