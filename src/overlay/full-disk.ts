// What meets a full disk is done again, once something on that disk went that can be had again.
import type { Awaitable } from '../util/types.ts';

/** Each time something goes, but somebody else may take it. */
const ATTEMPTS_MAX = 4;

/** Removes something that can be had again; whether there was something. */
export type MakeRoom = () => boolean;

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOSPC';
}

/**
 * Runs an operation, again as long as it fails for want of space (ENOSPC) and room can be made; at once where the
 * operation is. One that fails must have changed nothing that counts.
 */
export function withRoom<T>(makeRoom: MakeRoom | undefined, operation: () => Awaitable<T>): Awaitable<T> {
  if (makeRoom === undefined) return operation();
  return again(makeRoom, operation, ATTEMPTS_MAX);
}

function again<T>(makeRoom: MakeRoom, operation: () => Awaitable<T>, attempts: number): Awaitable<T> {
  const retry = (error: unknown): Awaitable<T> => {
    if (attempts <= 1 || !isDiskFull(error) || !makeRoom()) throw error;
    return again(makeRoom, operation, attempts - 1);
  };
  try {
    const result = operation();
    return result instanceof Promise ? result.catch(retry) : result;
  } catch (error) {
    return retry(error);
  }
}
