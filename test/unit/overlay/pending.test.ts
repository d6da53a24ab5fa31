// Operations that suspend and run again.
import { expect, test } from 'vitest';
import { attempt, isPending, need, orInterrupted } from '../../../src/overlay/pending.ts';
import { createCallContext } from '../../support/call-context.ts';

const ctx = createCallContext();

test('an operation that has all it needs answers with a value', () => {
  expect(attempt(ctx, () => need(1) + need(2))).toBe(3);
});

test('an operation runs again from its beginning when what it needed has come', async () => {
  const store = new Map<string, number>();
  const fetch = (key: string, value: number): number | Promise<number> =>
    store.get(key) ?? Promise.resolve().then(() => (store.set(key, value), value));
  let runs = 0;
  const result = attempt(ctx, () => {
    runs++;
    return need(fetch('a', 1)) + need(fetch('b', 2));
  });
  expect(result).toBeInstanceOf(Promise);
  expect(await result).toBe(3);
  expect(runs).toBe(3);
});

test('what fails to come fails the operation', async () => {
  const gone = new Error('gone');
  await expect(attempt(ctx, () => need(Promise.reject(gone)))).rejects.toBe(gone);
});

test('an error of the operation itself is thrown at once, and later too', async () => {
  expect(() =>
    attempt(ctx, () => {
      throw new Error('at once');
    }),
  ).toThrow('at once');
  let known = false;
  const later = attempt(ctx, () => {
    if (!known) need(Promise.resolve().then(() => (known = true)));
    throw new Error('later');
  });
  await expect(later).rejects.toThrow('later');
});

test('an interrupted caller gets EINTR, and the operation is not run again', async () => {
  const controller = new AbortController();
  let runs = 0;
  const result = attempt(createCallContext({ signal: controller.signal }), () => {
    runs++;
    return need(new Promise(() => undefined));
  });
  controller.abort();
  await expect(result).rejects.toMatchObject({ code: 'EINTR' });
  expect(runs).toBe(1);
});

test('a caller that was interrupted before does not wait at all', async () => {
  const never = new Promise<void>(() => undefined);
  await expect(orInterrupted(never, AbortSignal.abort())).rejects.toMatchObject({ code: 'EINTR' });
});

test('what a listing stopped at may fail without anybody waiting for it', async () => {
  let caught: unknown;
  try {
    need(Promise.reject(new Error('nobody waits')));
  } catch (error) {
    caught = error;
  }
  expect(isPending(caught)).toBe(true);
  expect(isPending(new Error('other'))).toBe(false);
  // An unhandled rejection would fail the run.
  await new Promise((resolve) => setTimeout(resolve, 10));
});
