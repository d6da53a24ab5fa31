// Prefetching in the background: when it runs, for what, and what it tells.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { MountRecord } from '../../../src/mount/mount-record.ts';
import type { PrefetchReport, PrefetchRequest } from '../../../src/mount/mount-host.ts';
import { startPrefetchSchedule } from '../../../src/mount/prefetch/prefetch-schedule.ts';
import { prefetchReport } from './fake-mount-host.ts';
import { createRecordingLogger } from './registry-fixture.ts';

const HOUR_MS = 3_600_000;

let calls: { id: string; request: PrefetchRequest; signal: AbortSignal }[];
let answer: (id: string) => Promise<PrefetchReport>;
const log = createRecordingLogger();

const record = (mountId: string, state: MountRecord['state']): MountRecord =>
  ({ mountId, state, path: `/${mountId}` }) as MountRecord;

const registry = {
  list: () => [record('a', 'Ready'), record('b', 'Provisioning'), record('c', 'Ready')],
  prefetch: (id: string, request: PrefetchRequest, _onProgress: unknown, signal: AbortSignal) => {
    calls.push({ id, request, signal });
    return answer(id);
  },
};

const start = (paths: string[], intervalMs: number) =>
  startPrefetchSchedule({ registry, paths, intervalMs, log, random: () => 0.5 });

beforeEach(() => {
  vi.useFakeTimers();
  calls = [];
  log.lines.length = 0;
  answer = async () => prefetchReport({ files: 2, fetched: 2, bytes: 7 });
});
afterEach(() => {
  vi.useRealTimers();
});

test('is off without an interval, without paths, and with a pattern that means nothing', () => {
  expect(start(['/a'], 0)).toBeUndefined();
  expect(start([], HOUR_MS)).toBeUndefined();
  expect(log.lines).toEqual([]);
  expect(start(['a/../b'], HOUR_MS)).toBeUndefined();
  expect(log.lines).toEqual([
    'error: nothing is prefetched in the background: prefetch_paths cannot be understood',
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a long interval does not become none', async () => {
  const schedule = start(['/x'], 2_200_000_000);
  await vi.advanceTimersByTimeAsync(600_000);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(calls).toHaveLength(2);
  await schedule?.stop();
});

test('runs for the mounts that serve, at first soon, then once an interval', async () => {
  const schedule = start(['/x/**'], HOUR_MS);
  await vi.advanceTimersByTimeAsync(299_000);
  expect(calls).toEqual([]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(calls.map(({ id }) => id)).toEqual(['a', 'c']);
  expect(calls[0]?.request).toEqual({ path: '', include: ['/x/**'], globsFrom: 'repository' });
  expect(schedule?.status()).toMatchObject({
    intervalMs: HOUR_MS,
    isRunning: false,
    lastRun: { fetched: 4, bytes: 14, failed: 0, error: undefined },
  });
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(calls).toHaveLength(4);
  await schedule?.stop();
  expect(vi.getTimerCount()).toBe(0);
});

test('a mount that fails is one line, and no obstacle for the others', async () => {
  answer = async (id) => {
    if (id === 'a') throw new Error('the server is gone');
    return prefetchReport({ fetched: 1 });
  };
  const schedule = start(['*'], HOUR_MS);
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(schedule?.status().lastRun).toMatchObject({ fetched: 1, error: '/a: the server is gone' });
  expect(log.lines).toEqual(['warn: prefetching in the background did not get everything']);
  await schedule?.stop();
});

test('never runs twice at once, and stops what runs', async () => {
  answer = () =>
    new Promise((_resolve, reject) => {
      const { signal } = calls.at(-1) as (typeof calls)[number];
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  const schedule = start(['*'], 1000);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(calls).toHaveLength(1);
  expect(schedule?.status().isRunning).toBe(true);
  await schedule?.stop();
  expect(calls).toHaveLength(1);
  expect(schedule?.status().lastRun).toBeUndefined();
});
