// Removing names: unlink and rmdir.
import type { CallContext } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import { AT_REMOVEDIR, unlinkAt } from '../util/syscall.ts';
import { copyUpDirectory } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';

/** unlink(2). */
export function unlink(core: OverlayCore, parent: Inode, name: string, ctx: CallContext): void {
  const inode = core.existing(parent, name, ctx);
  if (inode.directory !== undefined) throw new ErrnoError('EISDIR');
  const hide = core.hasLower(parent, name, ctx);
  const parentFd = copyUpDirectory(core, parent);
  loseName(core, inode);
  if (hide) core.upper.whiteout(parentFd, name);
  else unlinkAt(parentFd, name);
  core.nameRemoved(parent, name, hide);
  core.dropName(inode, parent, name);
  core.dropIfUnused(inode);
  core.changes.moved(parent, name, inode);
}

/** rmdir(2). */
export function rmdir(core: OverlayCore, parent: Inode, name: string, ctx: CallContext): void {
  const inode = core.existing(parent, name, ctx);
  if (inode.directory === undefined) throw new ErrnoError('ENOTDIR');
  if (!core.isEmpty(inode, ctx)) throw new ErrnoError('ENOTEMPTY');
  const hide = core.hasLower(parent, name, ctx);
  const parentFd = copyUpDirectory(core, parent);
  loseName(core, inode);
  if (inode.upper && (hide || core.upperNames(inode).whiteouts.size > 0)) {
    core.upper.removeFolder(parentFd, name, hide);
  } else if (inode.upper) {
    unlinkAt(parentFd, name, AT_REMOVEDIR);
  } else {
    core.upper.whiteout(parentFd, name);
  }
  core.nameRemoved(parent, name, hide);
  core.dropName(inode, parent, name);
  core.dropIfUnused(inode);
  core.changes.moved(parent, name, inode);
}

/** An object that is about to lose a name stays reachable as long as the kernel knows it. */
export function loseName(core: OverlayCore, inode: Inode): void {
  if (inode.upper && inode.aliases === undefined) core.upper.pin(inode);
  core.linksChange(inode);
}
