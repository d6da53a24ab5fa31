// Registering files of the local disk, which the kernel then reads and writes by itself.
import { Errno } from '../../util/errno.ts';
import { lastErrno } from '../../util/libc.ts';
import type { Passthrough } from '../filesystem.ts';
import { ioctl } from './system-calls.ts';

/** FUSE_DEV_IOC_BACKING_OPEN, with a `struct fuse_backing_map`. */
const BACKING_OPEN = 0x4010e501;
/** FUSE_DEV_IOC_BACKING_CLOSE, with the number that the other one gave. */
const BACKING_CLOSE = 0x4004e502;
/** No descriptor. */
const NONE = -1;

/**
 * The means to register files with the kernel, on the device of a mount that negotiated passthrough; undefined where
 * this process may not (CAP_SYS_ADMIN). `onUseless` is called when it turns out that files cannot be registered after
 * all, as those on an overlayfs. `device` gives undefined once the mount has ended: the descriptor's number may be that
 * of another mount then, which has registrations of the same numbers.
 */
export function openPassthrough(
  device: () => number | undefined,
  onUseless: () => void,
): Passthrough | undefined {
  const map = new Int32Array(4);
  const id = new Uint32Array(1);
  const open = (fd: number): number => {
    map.set([fd, 0, 0, 0]);
    return ioctl(device() ?? NONE, BACKING_OPEN, map);
  };
  // Who may is checked before the descriptor is.
  if (open(-1) >= 0 || lastErrno() !== Errno.EBADF) return undefined;
  return {
    register(fd) {
      const backingId = open(fd);
      if (backingId > 0) return backingId;
      const errno = lastErrno();
      if (errno === Errno.ELOOP || errno === Errno.EPERM || errno === Errno.EOPNOTSUPP) onUseless();
      return undefined;
    },
    unregister(backingId) {
      id[0] = backingId;
      ioctl(device() ?? NONE, BACKING_CLOSE, id);
    },
  };
}
