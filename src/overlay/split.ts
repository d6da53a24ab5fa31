// Parting a file from those who read it by passthrough, before its content moves to the upper layer.
//
// While a file is open by passthrough, the kernel wants all opens of its inode to name the same file on the disk. So the
// name gets a new inode number for the kernel, which goes on showing the old st_ino; the old inode stays what its
// readers have open. The kernel learns of the new one when it looks the name up again, which ESTALE makes it do.
import type { CallContext } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import { copyUpMetadata } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';

/**
 * Makes sure that nobody reads the content of the lower layer by passthrough that is about to be changed. Throws ESTALE
 * when somebody does: the caller finds the file again under its name.
 */
export function partFromReaders(core: OverlayCore, inode: Inode, ctx: CallContext): void {
  requireUnparted(inode);
  const isLower = !inode.upper || inode.isMetacopy;
  if (!isLower || inode.content === undefined || inode.content.throughs === 0) return;
  if (inode.parent !== undefined) {
    // Both share the upper object, so that fchmod(2) of a reader still changes the file.
    copyUpMetadata(core, inode, ctx);
    if (!inode.isMetacopy) return;
    core.upper.pin(inode);
    const names = core.inodes.replace(inode);
    // The only name is the one by which the caller comes, and which it looks up again.
    if (names.length > 1)
      for (const { parent, name } of names) core.notifier?.invalidateEntry(parent.ino, name);
  }
  throw new ErrnoError('ESTALE');
}

/**
 * Throws ESTALE for an inode whose content is changed, or will be, through another one: both would copy it up, and the
 * second copy undo what was written to the first. Who comes by a name finds the other one.
 */
export function requireUnparted(inode: Inode): void {
  if (inode.isParted) throw new ErrnoError('ESTALE');
}

/** The same for one more reader: that one may join those who read, while what they read is what the name stands for. */
export function requireUnchanged({ upper }: OverlayCore, inode: Inode): void {
  if (!inode.isParted) return;
  const { dirfd, name } = upper.place(inode);
  const isRead = inode.content !== undefined && inode.content.throughs > 0;
  if (!isRead || !upper.format.read(dirfd, name).metacopy) throw new ErrnoError('ESTALE');
}
