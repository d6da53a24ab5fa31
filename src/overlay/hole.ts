// The hole in the upper layer that stands for a file's content in the lower one: it has the size of that content.
import { constants, ftruncateSync } from 'node:fs';
import { closeFd } from '../util/syscall.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import { openUpper } from './open-upper.ts';

/**
 * Gives a hole the size that the content has by now, which is the layer's to say, without a trace in times and mode.
 * Never 0: that says that the file was emptied.
 */
export function alignHole(
  core: OverlayCore,
  inode: Inode,
  size: number | undefined = inode.lower && core.layer.knownSize(inode.lower),
): void {
  if (!inode.isHole || size === undefined || size === 0) return;
  const { mode, atime, atimeNsec, mtime, mtimeNsec, size: present } = core.stat(inode);
  if (present === size) return;
  const { dirfd, name } = core.upper.place(inode);
  // What is about to be cut or extended is the user's where the mark is gone.
  if (!core.upper.format.read(dirfd, name).metacopy) return;
  const fd = openUpper(core, inode, constants.O_WRONLY);
  try {
    ftruncateSync(fd, size);
  } finally {
    closeFd(fd);
  }
  core.upper.format.putBack(dirfd, name, {
    mode: mode & 0o7777,
    atime: { seconds: atime, nanoseconds: atimeNsec },
    mtime: { seconds: mtime, nanoseconds: mtimeNsec },
  });
}
