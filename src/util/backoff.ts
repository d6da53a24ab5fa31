// How long to wait before a failed request is repeated.

/** Longest wait between two attempts, in milliseconds. */
const BACKOFF_MAX_MS = 5_000;

/**
 * Milliseconds to wait after the `failures`-th failure in a row (1, 2, ...): exponential, with full jitter, so that
 * clients that failed together do not come back together. `baseMs` is the bound of the first wait.
 */
export function backoffMs(failures: number, baseMs = 100, random: () => number = Math.random): number {
  return random() * Math.min(BACKOFF_MAX_MS, baseMs * 2 ** Math.max(0, failures - 1));
}
