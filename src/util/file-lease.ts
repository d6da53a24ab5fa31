// Asks the kernel whether a file is open anywhere, by trying to take a lease on it.
import { Errno } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_WRLCK = 1;
/** Ignored by default, unlike SIGIO, which would end this process when somebody opens the leased file. */
const SIGURG = 23;

const fcntl = libc.func('int fcntl(int fd, int command, int argument)') as (
  fd: number,
  command: number,
  argument: number,
) => number;

/**
 * Takes a write lease (fcntl(2), F_SETLEASE) on a file that is open as `fd`, for reading. The kernel grants it only
 * when nobody else has the file open or mapped, in any process; opening it then waits until `fd` is closed, so do that
 * soon. `open`: somebody has it; `unknown`: the filesystem has no leases, or the file is another user's.
 */
export function takeLease(fd: number): 'taken' | 'open' | 'unknown' {
  if (fcntl(fd, F_SETSIG, SIGURG) !== 0) return 'unknown';
  if (fcntl(fd, F_SETLEASE, F_WRLCK) === 0) return 'taken';
  return lastErrno() === Errno.EAGAIN ? 'open' : 'unknown';
}
