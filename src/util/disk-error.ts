// Failed system calls on files of the store, in words for the user.
import { codeOf, isDiskFull } from './disk-full.ts';
import { Errno, ErrnoError } from './errno.ts';

/** What to do about a full disk. */
export const FULL_DISK_ADVICE = 'free space on that disk, or set store_path to another one';

/** The ErrnoError for a failed system call on a file of the store. A full quota counts as a full disk. */
export function toDiskError(error: unknown, path: string): Error {
  if (error instanceof ErrnoError || !(error instanceof Error)) return error as Error;
  if (isDiskFull(error)) {
    return new ErrnoError('ENOSPC', `no space left for the local store (${path}); ${FULL_DISK_ADVICE}`, {
      cause: error,
    });
  }
  const errno = (Errno as Readonly<Record<string, number>>)[codeOf(error)];
  if (errno === undefined) return error;
  return new ErrnoError(errno, `the local store failed (${path}): ${error.message}`, { cause: error });
}
