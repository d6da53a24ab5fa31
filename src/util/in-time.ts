// Waiting, but not for ever.
import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a promise, at most so long; resolves with whether it was in time. */
export async function inTime(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(timeoutMs, false, { signal: timer.signal });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
