// The one table from what went wrong with a large file to the errno that a program sees.
import { ErrnoError, type ErrnoName } from '../util/errno.ts';
import { LfsError, type LfsErrorKind } from './lfs-error.ts';

// Never ENOENT: the file exists, its bytes cannot be had.
const errnoOf: Readonly<Record<LfsErrorKind, ErrnoName>> = {
  missing: 'ENODATA',
  refused: 'EACCES',
  unreachable: 'EHOSTUNREACH',
  timeout: 'ETIMEDOUT',
  server: 'EIO',
  quota: 'EIO',
  corrupt: 'EIO',
  'no-space': 'ENOSPC',
  conflict: 'EIO',
  invalid: 'EIO',
  aborted: 'EINTR',
};

/**
 * The ErrnoError for a failure with a large file; its message is that of the failure. ErrnoErrors stay as they are, but
 * for that of a file that vanished from the store.
 */
export function toLfsErrno(error: unknown): ErrnoError {
  if (error instanceof ErrnoError) {
    return error.code === 'ENOENT' ? new ErrnoError('EIO', error.message, { cause: error }) : error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ErrnoError(error instanceof LfsError ? errnoOf[error.kind] : 'EIO', message, { cause: error });
}
