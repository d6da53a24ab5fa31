// Waiting for a promise, but not for ever.

/** The result of a promise that never rejects, or undefined when the time is over or the signal aborts first. */
export function orTimeout<T>(
  promise: Promise<T>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    const finish = (result: T | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const onAbort = (): void => finish(undefined);
    const timer = setTimeout(() => finish(undefined), milliseconds);
    signal.addEventListener('abort', onAbort);
    void promise.then(finish);
  });
}
