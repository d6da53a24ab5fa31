// Resolves symbolic links of a path without ever touching a mount of this program.
import { lstat, readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MountError } from './mount-error.ts';

const MAX_LINKS = 40;

/**
 * The path with all symbolic links resolved; components that do not exist stay as they are. `isMount` tells our mount
 * points (resolved paths): a path that leads below one is refused with a MountError of kind `invalid` before the disk
 * is asked, since a daemon that looks into its own mount waits for itself. A path that is one is returned.
 */
export async function resolveOutside(path: string, isMount: (path: string) => boolean): Promise<string> {
  let current = '/';
  let links = 0;
  const pending = namesOf(resolve(path));
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '.') continue;
    if (name === '..') {
      current = dirname(current);
      continue;
    }
    const next = join(current, name);
    if (isMount(next)) {
      if (pending.length === 0) return next;
      throw new MountError(
        'invalid',
        `${path} is inside the mount at ${next}; choose a folder outside of it`,
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
    pending.unshift(...namesOf(found.target));
  }
  return current;
}

function namesOf(path: string): string[] {
  return path.split('/').filter(Boolean);
}

/** Whether the path exists, and where it leads if it is a symbolic link. */
async function inspect(path: string, whole: string): Promise<{ exists: boolean; target?: string }> {
  try {
    const isLink = (await lstat(path)).isSymbolicLink();
    return isLink ? { exists: true, target: await readlink(path) } : { exists: true };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { exists: false };
    throw new MountError('invalid', `cannot use ${whole}: ${message}`, { cause: error });
  }
}
