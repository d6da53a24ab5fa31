// Tidying up after something that may be done at once, or later.
import type { Awaitable } from './types.ts';

/** Runs `work`, and `cleanup` once when it is done or has failed: at once where the value is known, else when it comes. */
export function afterwards<T>(work: () => Awaitable<T>, cleanup: () => void): Awaitable<T> {
  let result: Awaitable<T>;
  try {
    result = work();
  } catch (error) {
    cleanup();
    throw error;
  }
  if (result instanceof Promise) return result.finally(cleanup);
  cleanup();
  return result;
}
