// Where a mount is by now.
import { ErrnoError } from '../util/errno.ts';
import { listMounts } from './kernel/mountinfo.ts';

/**
 * Where the mount of a connection (its number; undefined where unknown) is now, which was made at `mountpoint`: a folder
 * above may have been renamed. Undefined when it is nowhere any more. Throws ErrnoError EBUSY where unmounting the path
 * would hit another filesystem.
 */
export function currentPath(connection: number | undefined, mountpoint: string): string | undefined {
  if (connection === undefined) return mountpoint;
  const mounts = listMounts();
  const own = mounts.filter((mount) => mount.major === 0 && mount.minor === connection);
  const mount = own.find((mount) => mount.mountpoint === mountpoint) ?? own[0];
  const top = mounts.findLast((other) => other.mountpoint === mount?.mountpoint);
  if (top !== undefined && top.minor !== connection) {
    throw new ErrnoError(
      'EBUSY',
      `another filesystem is mounted over ${top.mountpoint}: unmount that one first`,
    );
  }
  return mount?.mountpoint;
}
