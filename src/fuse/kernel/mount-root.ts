// Mounting with the system call, as root.
import { closeSync, constants, openSync } from 'node:fs';
import { ErrnoError, Errno, errnoName } from '../../util/errno.ts';
import type { FuseMountOptions } from '../fuse-mount.ts';
import type { Attachment } from './attachment.ts';
import { FILESYSTEM_TYPE } from './mountinfo.ts';
import { mount, umount } from './system-calls.ts';

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

function openDevice(): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
      throw new ErrnoError(
        'ENODEV',
        '/dev/fuse is missing: load the kernel module (`modprobe fuse`); in a container, pass the device in (`--device /dev/fuse`)',
        { cause: error },
      );
    }
    throw new ErrnoError('EPERM', `/dev/fuse cannot be opened (${code ?? 'unknown error'})`, {
      cause: error,
    });
  }
}

/** Unmounts with umount2(2). Rejects with ErrnoError EBUSY when the mount is in use and `lazy` is false. */
export async function detachAsRoot(mountpoint: string, lazy: boolean): Promise<void> {
  const errno = await umount(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
  // EINVAL: somebody else unmounted it in the meantime.
  if (errno === 0 || errno === Errno.EINVAL) return;
  if (errno === Errno.EBUSY) {
    throw new ErrnoError('EBUSY', `${mountpoint} is in use: \`fuser -vm ${mountpoint}\` shows by whom`);
  }
  throw new ErrnoError(errno, `unmounting ${mountpoint} failed: ${errnoName(errno)}`);
}

/**
 * Mounts with mount(2). Rejects with ErrnoError: EPERM where this process may not, ENODEV without FUSE in the kernel.
 * Set-user-id programs and device files have no effect on the mount: what it shows comes from a server.
 */
export async function mountAsRoot(mountpoint: string, options: FuseMountOptions): Promise<Attachment> {
  const fd = openDevice();
  const data = [
    `fd=${fd}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    'default_permissions',
    ...(options.allowOther ? ['allow_other'] : []),
  ].join(',');
  const errno = await mount(options.source, mountpoint, FILESYSTEM_TYPE, MS_NOSUID | MS_NODEV, data);
  if (errno !== 0) {
    closeSync(fd);
    const hint = errno === Errno.ENODEV ? ': load the kernel module (`modprobe fuse`)' : '';
    throw new ErrnoError(errno, `mounting on ${mountpoint} failed: ${errnoName(errno)}${hint}`);
  }
  return { fd, detach: detachAsRoot };
}
