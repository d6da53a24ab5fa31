// Who gets a slot, and when.
import { expect, test } from 'vitest';
import { createPriorityLimiter } from '../../../src/util/priority-limiter.ts';
import type { Priority, PriorityLimiter } from '../../../src/util/priority-limiter.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Asks for a slot, and notes the name when it is granted. */
function ask(
  limiter: PriorityLimiter,
  log: string[],
  name: string,
  priority: Priority,
): { release?: () => void } {
  const held: { release?: () => void } = {};
  void limiter.acquire(priority).then((release) => {
    log.push(name);
    held.release = release;
  });
  return held;
}

test('demands go before prefetches, and each class is served in order', async () => {
  const limiter = createPriorityLimiter(1);
  const log: string[] = [];
  const first = await limiter.acquire('demand');
  const asked = [
    ask(limiter, log, 'p1', 'prefetch'),
    ask(limiter, log, 'd1', 'demand'),
    ask(limiter, log, 'p2', 'prefetch'),
    ask(limiter, log, 'd2', 'demand'),
  ];
  expect(limiter.queued).toBe(4);
  first();
  for (let round = 0; round < 4; round++) {
    await settle();
    expect(limiter.active).toBe(1);
    for (const held of asked) {
      held.release?.();
      delete held.release;
    }
  }
  await settle();
  expect(log).toEqual(['d1', 'd2', 'p1', 'p2']);
  expect([limiter.active, limiter.queued]).toEqual([0, 0]);
});

test('prefetches leave slots for a demand', async () => {
  const limiter = createPriorityLimiter(4);
  const log: string[] = [];
  for (const name of ['p1', 'p2', 'p3', 'p4']) ask(limiter, log, name, 'prefetch');
  await settle();
  expect(log).toEqual(['p1', 'p2']);
  await limiter.acquire('demand');
  await limiter.acquire('demand');
  expect(limiter.active).toBe(4);
});

test('demands may use every slot', async () => {
  const limiter = createPriorityLimiter(3);
  await Promise.all([1, 2, 3].map(() => limiter.acquire('demand')));
  expect(limiter.active).toBe(3);
});

test('a waiter that gives up leaves the queue, and its reason is kept', async () => {
  const limiter = createPriorityLimiter(1);
  const release = await limiter.acquire('demand');
  const abort = new AbortController();
  const waiting = limiter.acquire('demand', abort.signal);
  const reason = new Error('enough');
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(limiter.queued).toBe(0);
  await expect(limiter.acquire('demand', abort.signal)).rejects.toBe(reason);
  release();
  expect(limiter.active).toBe(0);
});

test('a slot is given back once, however often its release is called', async () => {
  const limiter = createPriorityLimiter(2);
  const release = await limiter.acquire('demand');
  await limiter.acquire('demand');
  release();
  release();
  expect(limiter.active).toBe(1);
});
