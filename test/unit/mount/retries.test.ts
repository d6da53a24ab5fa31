// The rhythm of repeated attempts.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createRetries, type Retries } from '../../../src/mount/retries.ts';

let attempts: string[];
let retries: Retries;
beforeEach(() => {
  vi.useFakeTimers();
  attempts = [];
  retries = createRetries(1000, async (id) => void attempts.push(id));
});
afterEach(() => {
  vi.useRealTimers();
});

it('waits twice as long after each failure, and a minute at most', () => {
  for (const delay of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
    retries.schedule('a');
    vi.advanceTimersByTime(delay - 1);
    expect(attempts).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(attempts.splice(0)).toEqual(['a']);
  }
});

it('waits shortly again after a success, each mount for itself', () => {
  retries.schedule('a');
  vi.advanceTimersByTime(1000);
  retries.reset('a');
  retries.schedule('a');
  retries.schedule('b');
  vi.advanceTimersByTime(1000);
  expect(attempts).toEqual(['a', 'a', 'b']);
});

it('makes no attempt that was cancelled, and none after the end', () => {
  retries.schedule('a');
  retries.schedule('b');
  retries.cancel('a');
  vi.advanceTimersByTime(1000);
  expect(attempts).toEqual(['b']);
  retries.schedule('a');
  retries.stop();
  retries.schedule('b');
  vi.advanceTimersByTime(100_000);
  expect(attempts).toEqual(['b']);
});
