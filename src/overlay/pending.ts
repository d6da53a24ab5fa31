// Suspending an operation until something it needs has arrived.
//
// Operations are written as plain synchronous functions that change nothing before they have all they need. Where
// something must be fetched or copied first, they throw a Pending; `attempt` waits for it and runs the operation from
// its beginning. So each operation is atomic with respect to all others, the state that it acts upon is never older
// than the call, and what is known is answered without a promise.
import type { CallContext } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import type { Awaitable } from '../util/types.ts';
import { orAborted } from '../util/or-aborted.ts';

/** Thrown to suspend an operation; caught by `attempt` alone. */
class Pending extends Error {
  readonly promise: Promise<unknown>;

  constructor(promise: Promise<unknown>) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super('pending');
    Error.stackTraceLimit = limit;
    this.promise = promise;
  }
}

/**
 * Whether an operation that can stop half-way (a listing) met something that is not there yet. What it waits for goes
 * on; the next call meets its outcome.
 */
export function isPending(error: unknown): boolean {
  if (!(error instanceof Pending)) return false;
  error.promise.catch(() => undefined);
  return true;
}

/** The value, if it is known; else suspends the operation until it is. The next attempt must find it known. */
export function need<T>(value: Awaitable<T>): T {
  if (value instanceof Promise) throw new Pending(value);
  return value;
}

/** Runs an operation, again and again while it suspends. Rejects with EINTR when the caller was interrupted. */
export function attempt<T>(ctx: CallContext, operation: () => T): Awaitable<T> {
  try {
    return operation();
  } catch (error) {
    if (error instanceof Pending) return resume(ctx, operation, error);
    throw error;
  }
}

async function resume<T>(ctx: CallContext, operation: () => T, first: Pending): Promise<T> {
  let pending = first;
  for (;;) {
    await orInterrupted(pending.promise, ctx.signal);
    try {
      return operation();
    } catch (error) {
      if (!(error instanceof Pending)) throw error;
      pending = error;
    }
  }
}

/** Waits for a promise, but no longer than the caller wants: then rejects with EINTR. */
export function orInterrupted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return orAborted(promise, signal, () => new ErrnoError('EINTR'));
}
