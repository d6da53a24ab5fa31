// What can go wrong with a large file, by what a caller can do about it.

/**
 * - `missing`: the server does not have the object (404, 410).
 * - `refused`: no right to it, or no valid credentials (401, 403).
 * - `unreachable`: no connection, or it broke, after all retries.
 * - `timeout`: the deadline passed, or the server fell silent.
 * - `server`: the server failed (5xx, 429, nonsense) after all retries, or speaks no LFS where it was asked.
 * - `quota`: the server has no room, or not for an object of this size (413, 507, 509).
 * - `corrupt`: the bytes do not hash to the oid, after a clean retry.
 * - `no-space`: the local disk is full.
 * - `conflict`: a lock, or an object, is not in the state that the request needs.
 * - `invalid`: the request itself makes no sense (422, a local file that changed meanwhile).
 * - `aborted`: the caller gave up.
 */
export type LfsErrorKind =
  | 'missing'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'server'
  | 'quota'
  | 'corrupt'
  | 'no-space'
  | 'conflict'
  | 'invalid'
  | 'aborted';

/** What else is known of a failure. */
export interface LfsErrorOptions {
  readonly cause?: unknown;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** Something about a large file failed. The message names path or oid, the server and the reason, for the user. */
export class LfsError extends Error {
  override readonly name = 'LfsError';
  readonly kind: LfsErrorKind;
  /** HTTP status, where there was one. */
  readonly status: number | undefined;
  /** How long the server asked to wait before the next attempt; milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: LfsErrorKind, message: string, options: LfsErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}
