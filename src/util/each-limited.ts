// Work on many items, a bounded number at once.

/**
 * Calls `task` for every item, in order, at most `limit` at once, and settles when all calls have settled. After the
 * first failure no further call starts, and the result rejects with that failure.
 */
export async function eachLimited<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  let failure: unknown;
  async function work(): Promise<void> {
    while (!failed && next < items.length) {
      const item = items[next++] as T;
      try {
        await task(item);
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  if (failed) throw failure;
}
