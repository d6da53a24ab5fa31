// Slashes around texts, however many.
import { expect, test } from 'vitest';
import { withoutSlashesAround, withoutTrailingSlashes } from '../../../src/util/slashes.ts';

test('slashes at the ends go, those inside stay', () => {
  expect(['', '/', '//a//b//', 'a/'].map(withoutTrailingSlashes)).toEqual(['', '', '//a//b', 'a']);
  expect(['', '/', '//a//b//', '/a'].map(withoutSlashesAround)).toEqual(['', '', 'a//b', 'a']);
});

test('millions of them that something follows take no time', () => {
  const many = `${'/'.repeat(4_000_000)}x`;
  expect(withoutTrailingSlashes(many)).toBe(many);
  expect(withoutSlashesAround(many)).toBe('x');
});
