// What can go wrong with an upstream, by what a caller can do about it.

/**
 * - `not-found`: the server answered and does not have it.
 * - `unreachable`: no connection, or it broke, after all retries.
 * - `timeout`: the deadline passed.
 * - `refused`: the server answered with a status that repeating does not change (4xx).
 * - `server`: the server failed (5xx, nonsense) after all retries.
 * - `corrupt`: the bytes do not hash to the id, after all retries.
 * - `moved`: the server's head moved on and it cannot serve the older state any more.
 * - `aborted`: the caller gave up.
 */
export type UpstreamErrorKind =
  | 'not-found'
  | 'unreachable'
  | 'timeout'
  | 'refused'
  | 'server'
  | 'corrupt'
  | 'moved'
  | 'aborted';

/** A request to an upstream failed. The message names the URL and the reason, in words for the user. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: UpstreamErrorKind;
  /** HTTP status, where there was one. */
  readonly status: number | undefined;

  constructor(kind: UpstreamErrorKind, message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.status = options.status;
  }
}
