// The folder to mount on, checked before anything is mounted there.
import { realpath, stat } from 'node:fs/promises';
import { ErrnoError } from '../util/errno.ts';

/** The mount point without symbolic links. Throws ErrnoError when it is no folder, or a dead mount. */
export async function resolveMountpoint(mountpoint: string): Promise<string> {
  try {
    const path = await realpath(mountpoint);
    if (!(await stat(path)).isDirectory())
      throw new ErrnoError('ENOTDIR', `the mount point ${path} is not a folder`);
    return path;
  } catch (error) {
    if (error instanceof ErrnoError) throw error;
    const { code, errno } = error as NodeJS.ErrnoException;
    const hint =
      code === 'ENOTCONN' ? `: a dead mount is in the way (\`umount -l ${mountpoint}\` clears it)` : '';
    throw new ErrnoError(-(errno ?? 0), `the mount point ${mountpoint} cannot be used, ${code}${hint}`, {
      cause: error,
    });
  }
}
