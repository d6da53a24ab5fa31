// The one table from errors to errnos.
import { Errno, ErrnoError } from '../util/errno.ts';
import { UpstreamError, type UpstreamErrorKind } from '../upstream/upstream-error.ts';

const upstreamErrno: Record<UpstreamErrorKind, number> = {
  // A listing named the object, so the file exists: that its bytes are gone is a fault, not an absence.
  'not-found': Errno.EIO,
  unreachable: Errno.EIO,
  timeout: Errno.ETIMEDOUT,
  refused: Errno.EIO,
  server: Errno.EIO,
  corrupt: Errno.EIO,
  moved: Errno.ESTALE,
  aborted: Errno.EINTR,
};

/** The positive errno that a system call reports for an error; EIO for what nobody foresaw. */
export function toErrno(error: unknown): number {
  if (error instanceof ErrnoError) return error.errno;
  if (error instanceof UpstreamError) return upstreamErrno[error.kind];
  if (error instanceof Error) {
    if (error.name === 'AbortError') return Errno.EINTR;
    const { errno, code } = error as NodeJS.ErrnoException;
    // Node's own errors carry the negated errno; SQLite's a code.
    if (typeof errno === 'number' && errno < 0) return -errno;
    if (code === 'SQLITE_FULL') return Errno.ENOSPC;
  }
  return Errno.EIO;
}

const told = new WeakSet<Error>();

/**
 * Whether an error is a fault to log, rather than an ordinary answer such as ENOENT: one that nobody foresaw, or an
 * ErrnoError with a cause, which says what failed beneath. True once for each cause: many calls may fail for one.
 */
export function isNewFault(error: unknown): boolean {
  if (toErrno(error) === Errno.EINTR) return false;
  if (!(error instanceof ErrnoError)) return true;
  const { cause } = error;
  if (!(cause instanceof Error) || told.has(cause)) return false;
  told.add(cause);
  return true;
}
