// Going on with a value that may have to come first.
import type { Awaitable } from './types.ts';

/** Calls `next` with the value: at once if it is known, else when it comes. */
export function chain<A, B>(value: Awaitable<A>, next: (value: A) => Awaitable<B>): Awaitable<B> {
  return value instanceof Promise ? value.then(next) : next(value);
}
