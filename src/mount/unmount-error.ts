// Why a mount cannot be unmounted, and whether it is still there.
import { listMounts } from '../fuse/kernel/mountinfo.ts';
import { ErrnoError } from '../util/errno.ts';
import { isWithin } from '../util/path-within.ts';
import { MountError } from './mount-error.ts';
import { describeMountUsers, findMountUsers } from './mount-users.ts';

/** A mount as the kernel knows it. */
export interface KernelMount {
  /** Resolved. */
  readonly mountpoint: string;
  readonly fuse: { readonly connection: number | undefined };
}

/** Whether the kernel still shows the mount, be it dead or alive. */
export function isStillMounted({ mountpoint, fuse }: KernelMount): boolean {
  const found = listMounts().filter((mount) => mount.mountpoint === mountpoint);
  return found.some((mount) => mount.minor === fuse.connection);
}

/** The error for what unmounting failed with; where the mount is busy it names who uses it. */
export async function unmountError({ mountpoint }: KernelMount, error: unknown): Promise<MountError> {
  if (!(error instanceof ErrnoError) || error.code !== 'EBUSY') {
    const { message } = error as Error;
    return new MountError('fuse', `cannot unmount ${mountpoint}: ${message}`, { cause: error });
  }
  const users = await findMountUsers(mountpoint);
  const inner = listMounts().find(
    (mount) => mount.mountpoint !== mountpoint && isWithin(mount.mountpoint, mountpoint),
  );
  const holders = [
    ...(users.length > 0 ? [describeMountUsers(users)] : []),
    ...(inner === undefined ? [] : [`a mount at ${inner.mountpoint}`]),
  ];
  const by = holders.length > 0 ? holders.join(' and ') : 'a process that cannot be seen';
  return new MountError('busy', `${mountpoint} is in use by ${by}`, { cause: error, users });
}
