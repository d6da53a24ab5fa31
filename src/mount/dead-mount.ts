// Mounts whose process died: how to tell them, and how to get rid of them.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { FILESYSTEM_TYPE, findMount } from '../fuse/kernel/mountinfo.ts';
import { umount } from '../fuse/kernel/system-calls.ts';
import { Errno, errnoName } from '../util/errno.ts';
import { MountError } from './mount-error.ts';

const run = promisify(execFile);

const PROBE_TIMEOUT_MS = 3000;
const HELPER_TIMEOUT_MS = 10_000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** A daemon that died may leave several mounts on top of each other. */
const MAX_STACKED = 8;

/**
 * Detaches what a dead process of this program left mounted at `mountpoint` (resolved). Nothing there, or something of
 * another type, is left alone. Rejects with a MountError of kind `invalid` when a living process serves a mount there,
 * `fuse` when it cannot be detached. Never call it for a mount of this process.
 */
export async function clearDeadMount(mountpoint: string): Promise<void> {
  for (let round = 0; round < MAX_STACKED; round++) {
    if (findMount(mountpoint)?.type !== FILESYSTEM_TYPE) return;
    if (!(await isDead(mountpoint))) {
      throw new MountError(
        'invalid',
        `another scorpio serves a mount at ${mountpoint}; unmount that one first, or choose another folder`,
      );
    }
    await detachMount(mountpoint);
  }
}

/** Detaches the mount at `mountpoint` (resolved) whoever uses it. Rejects with a MountError of kind `fuse`. */
export async function detachMount(mountpoint: string): Promise<void> {
  const errno = await umount(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
  // EINVAL: it is none any more.
  if (errno === 0 || errno === Errno.EINVAL) return;
  let reason = errnoName(errno);
  if (errno === Errno.EPERM) {
    try {
      await run('fusermount3', ['-u', '-z', '--', mountpoint], { timeout: HELPER_TIMEOUT_MS });
      return;
    } catch (error) {
      if (findMount(mountpoint)?.type !== FILESYSTEM_TYPE) return;
      reason = (error as Error).message.trim();
    }
  }
  throw new MountError(
    'fuse',
    `cannot detach the dead mount at ${mountpoint} (${reason}); try: umount -l ${mountpoint}`,
  );
}

/**
 * Whether nobody answers for a mount any more. Asked by a process of its own: a mount whose process hangs would take
 * one of our threads with it.
 */
async function isDead(mountpoint: string): Promise<boolean> {
  try {
    // Of the filesystem: attributes of the root folder may still be in the kernel's cache, which outlives the process.
    await run('stat', ['--file-system', '--format=%T', '--', mountpoint], {
      timeout: PROBE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, LC_ALL: 'C' },
    });
    return false;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    // The second is what a question gets that was under way when the process died.
    return /Transport endpoint is not connected|Software caused connection abort/.test(stderr);
  }
}
