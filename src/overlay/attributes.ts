// Changing attributes: setattr, and extended attributes.
import { constants, ftruncateSync } from 'node:fs';
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
  closeFd,
  getXattrAt,
  listXattrAt,
  removeXattrAt,
  setXattrAt,
  utimensAt,
} from '../util/syscall.ts';
import { copyUpContent, copyUpMetadata, discardContent, openUpper } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { FileHandles } from './handles.ts';
import type { Inode } from './inode.ts';
import { CAPABILITY_ATTRIBUTE, isOverlayAttribute } from './overlay-format.ts';
import { need } from './pending.ts';

/** chmod(2), chown(2), truncate(2), utimensat(2): only a new size other than 0 needs the content. */
export function setattr(
  core: OverlayCore,
  handles: FileHandles,
  inode: Inode,
  changes: AttributeChanges,
  ctx: CallContext,
): Attributes {
  // A copy-up sets the times again when it is done.
  if (inode.copyUp !== undefined) need(inode.copyUp);
  if (changes.size !== undefined) truncate(core, handles, inode, changes.size, changes.fh, ctx);
  copyUpMetadata(core, inode, ctx);
  const { dirfd, name } = core.upper.place(inode);
  const { uid, gid, mode, atime, mtime } = changes;
  // A chown of neither owner nor group is dated all the same.
  const isEmpty = (changes.size ?? mode ?? atime ?? mtime) === undefined;
  // The owner first: changing it takes set-id bits away.
  if (uid !== undefined || gid !== undefined || isEmpty) chownAt(dirfd, name, uid ?? -1, gid ?? -1);
  if (mode !== undefined) {
    if (inode.type === constants.S_IFLNK) throw new ErrnoError('EOPNOTSUPP');
    chmodAt(dirfd, name, mode & 0o7777);
  }
  if (atime !== undefined || mtime !== undefined) utimensAt(dirfd, name, atime, mtime);
  return core.attributes(inode, ctx);
}

function truncate(
  core: OverlayCore,
  handles: FileHandles,
  inode: Inode,
  size: number,
  fh: number | undefined,
  ctx: CallContext,
): void {
  if (inode.directory !== undefined) throw new ErrnoError('EISDIR');
  if (inode.type !== constants.S_IFREG) throw new ErrnoError('EINVAL');
  if (size === 0 && (!inode.upper || inode.isMetacopy)) {
    discardContent(core, inode);
    return;
  }
  copyUpContent(core, inode, ctx);
  if (fh !== undefined) {
    handles.truncate(fh, size);
    return;
  }
  const fd = openUpper(core, inode, constants.O_WRONLY);
  try {
    ftruncateSync(fd, size);
  } finally {
    closeFd(fd);
  }
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
  if (!inode.upper && (flags & XATTR_REPLACE) !== 0) throw new ErrnoError('ENODATA');
  copyUpMetadata(core, inode, ctx);
  const { dirfd, name } = core.upper.place(inode);
  inode.isUncapable = false;
  setXattrAt(dirfd, name, attribute, value, flags);
}

/** removexattr(2). */
export function removexattr(core: OverlayCore, inode: Inode, attribute: string): void {
  if (isOverlayAttribute(attribute)) throw new ErrnoError('EPERM');
  if (!inode.upper) throw new ErrnoError('ENODATA');
  const { dirfd, name } = core.upper.place(inode);
  removeXattrAt(dirfd, name, attribute);
}
