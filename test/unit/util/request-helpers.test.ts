// Small helpers of requests: waits, encoding, linked signals, bounded loops.
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { linkAbort } from '../../../src/util/abort-link.ts';
import { backoffMs } from '../../../src/util/backoff.ts';
import { eachLimited } from '../../../src/util/each-limited.ts';
import { percentEncodeBytes } from '../../../src/util/percent-encode.ts';

test('the wait doubles with every failure, up to a bound, and is spread over its whole range', () => {
  const waits = [1, 2, 3, 4, 30].map((failures) => backoffMs(failures, 100, () => 0.999_999));
  expect(waits.map(Math.round)).toEqual([100, 200, 400, 800, 5000]);
  expect(backoffMs(4, 100, () => 0)).toBe(0);
});

test('every byte that is not unreserved is percent-encoded', () => {
  expect(percentEncodeBytes('/a-b_c.d~9')).toBe('%2Fa-b_c.d~9');
  expect(percentEncodeBytes('100% &+#?=')).toBe('100%25%20%26%2B%23%3F%3D');
  const bytes = Buffer.from('é\n').toString('latin1');
  expect(percentEncodeBytes(`${bytes}\xff\0`)).toBe('%C3%A9%0A%FF%00');
  expect(decodeURIComponent(percentEncodeBytes(Buffer.from('名前 %41').toString('latin1')))).toBe('名前 %41');
  expect(() => percentEncodeBytes('名')).toThrow(RangeError);
});

test('a linked signal follows any of its sources, and lets go of them', () => {
  const [one, two] = [new AbortController(), new AbortController()];
  const link = linkAbort(one.signal, undefined, two.signal);
  two.abort('second');
  one.abort('first');
  expect(link.signal.reason).toBe('second');
  expect(linkAbort(one.signal).signal.reason).toBe('first');

  const source = new AbortController();
  const other = linkAbort(source.signal);
  expect(getEventListeners(source.signal, 'abort')).toHaveLength(1);
  other.unlink();
  expect(getEventListeners(source.signal, 'abort')).toHaveLength(0);
  source.abort();
  expect(other.signal.aborted).toBe(false);
});

test('a bounded loop visits every item and never runs more than its limit', async () => {
  const seen: number[] = [];
  let running = 0;
  let most = 0;
  await eachLimited([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(item);
    running--;
  });
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
});

test('a bounded loop starts nothing after a failure and waits for what runs', async () => {
  const ended: number[] = [];
  const loop = eachLimited([1, 2, 3, 4, 5], 2, async (item) => {
    if (item === 1) throw new Error('one');
    await new Promise((resolve) => setTimeout(resolve, 10));
    ended.push(item);
  });
  await expect(loop).rejects.toThrow('one');
  expect(ended).toEqual([2]);
});
