// Changing attributes: setattr, and extended attributes.
import { constants } from 'node:fs';
import {
  type AttributeChanges,
  type Attributes,
  type CallContext,
  XATTR_REPLACE,
} from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import {
  chmodAt,
  chownAt,
  getXattrAt,
  listXattrAt,
  removeXattrAt,
  setXattrAt,
  utimensAt,
} from '../util/syscall.ts';
import { copyUpMetadata } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { FileHandles } from './handles.ts';
import { alignHole } from './hole.ts';
import type { Inode } from './inode.ts';
import { CAPABILITY_ATTRIBUTE, isOverlayAttribute } from './overlay-format.ts';
import { need } from './pending.ts';
import { checkWriteOnce, requireOwnAttribute } from './policy.ts';
import { clearSetId } from './set-id.ts';

const SET_ID_BITS = 0o6000;

/** chmod(2), chown(2), truncate(2), utimensat(2): only a new size other than 0 needs the content. */
export function setattr(
  core: OverlayCore,
  handles: FileHandles,
  inode: Inode,
  changes: AttributeChanges,
  ctx: CallContext,
): Attributes {
  const partner = core.inodes.partner(inode);
  // A copy-up sets the times again when it is done.
  const copyUp = inode.copyUp ?? partner?.copyUp;
  if (copyUp !== undefined) need(copyUp);
  if (changes.size !== undefined) truncate(core, handles, inode, changes.size, changes, ctx);
  copyUpMetadata(core, inode, ctx);
  alignHole(core, inode);
  const { dirfd, name } = core.upper.place(inode);
  const { uid, gid, mode, atime, mtime } = changes;
  // The owner first: changing it takes set-id bits away.
  if (uid !== undefined || gid !== undefined || isDated(core, inode, changes, ctx)) {
    chownAt(dirfd, name, uid ?? -1, gid ?? -1);
  }
  if (mode !== undefined) {
    if (inode.type === constants.S_IFLNK) throw new ErrnoError('EOPNOTSUPP');
    inode.isPlain = false;
    chmodAt(dirfd, name, mode & 0o7777);
  }
  if (atime !== undefined || mtime !== undefined) utimensAt(dirfd, name, atime, mtime);
  if (partner !== undefined) {
    partner.isPlain &&= mode === undefined;
    core.notifier?.invalidateInode(partner.ino, -1, 0);
  }
  return core.attributes(inode, ctx);
}

/**
 * Whether a change of nothing is to be dated: a chown(2) of neither owner nor group is, and takes set-id bits away. The
 * kernel asks for the same before somebody writes, and does not say that, nor that those bits are at stake: so from
 * somebody else than the owner it does nothing where there are any. A write tells of them by itself.
 */
function isDated(core: OverlayCore, inode: Inode, changes: AttributeChanges, ctx: CallContext): boolean {
  const { size, mode, atime, mtime } = changes;
  if ((size ?? mode ?? atime ?? mtime) !== undefined) return false;
  if (ctx.uid === 0 || inode.isPlain || inode.directory !== undefined) return true;
  const stat = core.stat(inode);
  return ctx.uid === stat.uid || (stat.mode & SET_ID_BITS) === 0;
}

function truncate(
  core: OverlayCore,
  handles: FileHandles,
  inode: Inode,
  size: number,
  changes: AttributeChanges,
  ctx: CallContext,
): void {
  if (inode.directory !== undefined) throw new ErrnoError('EISDIR');
  if (inode.type !== constants.S_IFREG) throw new ErrnoError('EINVAL');
  // Through an open file: asked when that was opened.
  if (changes.fh === undefined) checkWriteOnce(core, inode, ctx);
  if (size === 0 && (!inode.upper || inode.isMetacopy)) handles.discard(inode, ctx);
  else handles.truncate(inode, changes.fh, size, ctx);
  if (changes.clearSetId === true) clearSetId(core, inode);
  core.changes.written(inode);
}

/** getxattr(2); ENODATA where there is none. */
export function getxattr(core: OverlayCore, inode: Inode, attribute: string): Buffer {
  const isNone = attribute === CAPABILITY_ATTRIBUTE && inode.isUncapable;
  const isHidden = !inode.upper || isNone || isOverlayAttribute(attribute);
  const { dirfd, name } = isHidden ? { dirfd: -1, name: '' } : core.upper.place(inode);
  const value = isHidden ? undefined : getXattrAt(dirfd, name, attribute);
  if (value === undefined) throw new ErrnoError('ENODATA');
  return value;
}

/** listxattr(2). */
export function listxattr(core: OverlayCore, inode: Inode): string[] {
  if (!inode.upper) return [];
  const { dirfd, name } = core.upper.place(inode);
  return listXattrAt(dirfd, name).filter((attribute) => !isOverlayAttribute(attribute));
}

/** setxattr(2). The format's own attributes cannot be set through the mount: EPERM. */
export function setxattr(
  core: OverlayCore,
  inode: Inode,
  attribute: string,
  value: Buffer,
  flags: number,
  ctx: CallContext,
): void {
  if (isOverlayAttribute(attribute)) throw new ErrnoError('EPERM');
  requireOwnAttribute(core, inode, attribute);
  if (!inode.upper && (flags & XATTR_REPLACE) !== 0) throw new ErrnoError('ENODATA');
  copyUpMetadata(core, inode, ctx);
  const { dirfd, name } = core.upper.place(inode);
  inode.isUncapable = false;
  setXattrAt(dirfd, name, attribute, value, flags);
}

/** removexattr(2). */
export function removexattr(core: OverlayCore, inode: Inode, attribute: string): void {
  if (isOverlayAttribute(attribute)) throw new ErrnoError('EPERM');
  requireOwnAttribute(core, inode, attribute);
  if (!inode.upper) throw new ErrnoError('ENODATA');
  const { dirfd, name } = core.upper.place(inode);
  removeXattrAt(dirfd, name, attribute);
}
