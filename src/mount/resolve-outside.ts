// Resolves symbolic links of a path without ever entering a mount that this process serves.
import { lstat, readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isWithin } from '../util/path-within.ts';
import { MountError } from './mount-error.ts';

const MAX_LINKS = 40;

/**
 * The path with all symbolic links resolved; components that do not exist stay as they are. `mounts` are the mount
 * points (resolved) that must not be touched: a path that leads into one is refused with a MountError of kind
 * `invalid`, before the disk is asked, since a daemon that looks into its own mount waits for itself.
 */
export async function resolveOutside(path: string, mounts: readonly string[]): Promise<string> {
  let current = '/';
  let links = 0;
  const pending = resolve(path).split('/').filter(Boolean);
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '.') continue;
    if (name === '..') {
      current = dirname(current);
      continue;
    }
    const next = join(current, name);
    const entered = mounts.find((mount) => isWithin(next, mount));
    if (entered !== undefined) {
      throw new MountError(
        'invalid',
        `${path} is inside the mount at ${entered}; choose a folder outside of it`,
      );
    }
    const found = await inspect(next, path);
    if (!found.exists) return resolve(next, ...pending);
    if (found.target === undefined) {
      current = next;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new MountError('invalid', `${path}: too many levels of symbolic links`);
    if (found.target.startsWith('/')) current = '/';
    pending.unshift(...found.target.split('/').filter(Boolean));
  }
  return current;
}

/** Whether the path exists, and where it leads if it is a symbolic link. */
async function inspect(path: string, whole: string): Promise<{ exists: boolean; target?: string }> {
  try {
    const isLink = (await lstat(path)).isSymbolicLink();
    return isLink ? { exists: true, target: await readlink(path) } : { exists: true };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { exists: false };
    // What a died process left mounted here: the caller clears it.
    if (code === 'ENOTCONN') return { exists: true };
    throw new MountError('invalid', `cannot use ${whole}: ${message}`, { cause: error });
  }
}
