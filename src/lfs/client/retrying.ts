// Attempts: repeated with growing waits where that can help, as the server wishes.
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../../util/backoff.ts';
import { LfsError } from '../lfs-error.ts';
import { abortedError, repeatRule } from './failures.ts';

/** A server that asks for a longer wait than this gets no repeat: the caller hears of it at once. */
export const RETRY_AFTER_MAX_MS = 60_000;

/** How to repeat. */
export interface RetryOptions {
  /** Attempts, the first included. */
  readonly maxAttempts: number;
  readonly signal: AbortSignal;
  /** What is asked, for the log. */
  readonly what: string;
  readonly log: (message: string) => void;
}

/** Waits; rejects with LfsError (`aborted`) when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal, what: string): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    throw abortedError(signal, what);
  }
}

/** Calls `attempt` until it succeeds, or fails in a way that stays so. Rejects with the last LfsError. */
export async function retrying<T>(
  attempt: (failures: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { maxAttempts, signal, what, log } = options;
  let wrong = 0;
  for (let failures = 0; ;) {
    if (signal.aborted) throw abortedError(signal, what);
    try {
      return await attempt(failures);
    } catch (error) {
      if (!(error instanceof LfsError)) throw error;
      failures++;
      const rule = repeatRule(error);
      if (rule === 'once') wrong++;
      const waitMs = Math.max(error.retryAfterMs ?? 0, backoffMs(failures));
      if (rule === 'never' || wrong > 1 || waitMs > RETRY_AFTER_MAX_MS) throw error;
      if (failures >= maxAttempts) throw afterAttempts(error, failures);
      log(`${error.message}; trying again in ${Math.ceil(waitMs)} ms`);
      await pause(waitMs, signal, what);
    }
  }
}

function afterAttempts(error: LfsError, attempts: number): LfsError {
  if (attempts === 1) return error;
  return new LfsError(error.kind, `${error.message}, tried ${attempts} times`, {
    cause: error,
    status: error.status,
    retryAfterMs: error.retryAfterMs,
  });
}
