// An exclusive lock on a file that ends with the process that holds it, however it dies.
import { closeSync, constants, openSync } from 'node:fs';
import { Errno, ErrnoError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;

/** A held lock. */
export interface FileLock {
  /** Gives the lock up. The file stays: removing a lock file lets two processes hold "the" lock. */
  release(): void;
}

/**
 * Takes an exclusive lock (flock) on the file at `path`, made when missing; undefined when another process, or
 * another lock of this one, holds it. Throws Node's errors when the file cannot be opened.
 */
export function tryLockFile(path: string): FileLock | undefined {
  return tryLock(path, openSync(path, 'a', 0o600));
}

/** As `tryLockFile`, on an existing folder. */
export function tryLockFolder(path: string): FileLock | undefined {
  return tryLock(path, openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
}

function tryLock(path: string, fd: number): FileLock | undefined {
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    const errno = lastErrno();
    closeSync(fd);
    if (errno === Errno.EWOULDBLOCK || errno === Errno.EAGAIN) return undefined;
    throw new ErrnoError(errno, `cannot lock ${path}`);
  }
  let held = true;
  return {
    release() {
      if (held) closeSync(fd);
      held = false;
    },
  };
}
