// The bounded cache.
import { expect, test } from 'vitest';
import { LruCache } from '../../../src/util/lru.ts';

test('drops what was used longest ago', () => {
  const cache = new LruCache<string, number>(2);
  cache.set('a', 1);
  cache.set('b', 2);
  expect(cache.get('a')).toBe(1);
  cache.set('c', 3);
  expect(cache.get('b')).toBeUndefined();
  expect([cache.get('a'), cache.get('c'), cache.size]).toEqual([1, 3, 2]);
});

test('is bounded by weight, and does not keep what is too heavy', () => {
  const cache = new LruCache<string, string>(10, (text) => text.length);
  cache.set('a', '1234');
  cache.set('b', '1234');
  cache.set('c', '12345');
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([undefined, '1234', '12345']);
  cache.set('c', '12345678901');
  expect(cache.get('c')).toBeUndefined();
  expect(cache.weight).toBe(4);
  cache.set('b', '1');
  expect(cache.weight).toBe(1);
  cache.delete('b');
  expect([cache.weight, cache.size]).toEqual([0, 0]);
});
