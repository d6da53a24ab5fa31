// The bounded map: what is used stays, what is not goes, and the weight never exceeds the capacity.
import { expect, test } from 'vitest';
import { WeightedLru } from '../../../src/util/weighted-lru.ts';

test('the least recently used values make room', () => {
  const lru = new WeightedLru<string, number>(10);
  lru.set('a', 1, 4);
  lru.set('b', 2, 4);
  expect(lru.get('a')).toBe(1);
  lru.set('c', 3, 4);
  expect([lru.get('a'), lru.get('b'), lru.get('c'), lru.weight]).toEqual([1, undefined, 3, 8]);
});

test('replacing and deleting account for the weight', () => {
  const lru = new WeightedLru<string, number>(10);
  lru.set('a', 1, 9);
  lru.set('a', 2, 3);
  expect([lru.get('a'), lru.weight]).toEqual([2, 3]);
  lru.delete('a');
  lru.delete('never there');
  expect([lru.get('a'), lru.weight]).toEqual([undefined, 0]);
});

test('a value heavier than everything is not held, and forgets what it replaces', () => {
  const lru = new WeightedLru<string, number>(10);
  lru.set('a', 1, 5);
  lru.set('b', 2, 5);
  lru.set('a', 3, 11);
  expect([lru.get('a'), lru.get('b'), lru.weight]).toEqual([undefined, 2, 5]);
});
