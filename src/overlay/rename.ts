// rename(2) and its flags. Nothing is copied but metadata: a folder of the lower layer gets a redirect, and a file one
// beside the mark that its content is below.
import { constants } from 'node:fs';
import type { CallContext } from '../fuse/filesystem.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import { renameAt, statIfPresent, unlinkAt } from '../util/syscall.ts';
import { copyUpDirectory, copyUpMetadata } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import { isWhiteout } from './overlay-format.ts';
import { loseName } from './remove.ts';

/** A name in a folder. */
export interface NamePlace {
  readonly parent: Inode;
  readonly name: string;
}

/** renameat2(2); RENAME_WHITEOUT is refused with EINVAL. */
export function rename(
  core: OverlayCore,
  from: NamePlace,
  to: NamePlace,
  flags: number,
  ctx: CallContext,
): void {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) throw new ErrnoError('EINVAL');
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (exchange && (flags & RENAME_NOREPLACE) !== 0) throw new ErrnoError('EINVAL');
  if (to.name.length > 255) throw new ErrnoError('ENAMETOOLONG');
  const source = core.existing(from.parent, from.name, ctx);
  const target = core.child(to.parent, to.name, ctx);
  if ((flags & RENAME_NOREPLACE) !== 0 && target !== undefined) throw new ErrnoError('EEXIST');
  if (exchange && target === undefined) throw new ErrnoError('ENOENT');
  if (source === target) return;
  checkAncestry(source, target, from, to, exchange);
  if (target !== undefined && exchange) swap(core, { source, from, target, to }, ctx);
  else move(core, { source, from, target, to }, ctx);
  core.changes.moved(from.parent, from.name, source);
  core.changes.moved(to.parent, to.name, source);
  if (target === undefined || !exchange) return;
  core.changes.moved(from.parent, from.name, target);
  core.changes.moved(to.parent, to.name, target);
}

/** Whether `ancestor` is `inode` or above it. */
function isWithin(inode: Inode, ancestor: Inode): boolean {
  for (let at: Inode | undefined = inode; at !== undefined; at = at.parent) if (at === ancestor) return true;
  return false;
}

function checkAncestry(
  source: Inode,
  target: Inode | undefined,
  from: NamePlace,
  to: NamePlace,
  exchange: boolean,
): void {
  if (isWithin(to.parent, source)) throw new ErrnoError('EINVAL');
  if (target !== undefined && isWithin(from.parent, target))
    throw new ErrnoError(exchange ? 'EINVAL' : 'ENOTEMPTY');
}

interface Move<Target> {
  readonly source: Inode;
  readonly from: NamePlace;
  readonly target: Target;
  readonly to: NamePlace;
}

function move(
  core: OverlayCore,
  { source, from, target, to }: Move<Inode | undefined>,
  ctx: CallContext,
): void {
  if (target !== undefined) checkReplace(core, source, target, ctx);
  const leaveWhiteout = core.hasLower(from.parent, from.name, ctx);
  const overLower = core.hasLower(to.parent, to.name, ctx);
  copyUpMetadata(core, source, ctx);
  copyUpDirectory(core, from.parent);
  copyUpDirectory(core, to.parent);
  const { upper } = core;
  markMoved(core, source, overLower);
  upper.giveName(upper.place(source), upper.folder(to.parent), to.name);
  if (target !== undefined) loseName(core, target);
  if (target?.directory !== undefined && target.upper) clear(core, target, to);
  const fromFd = upper.folder(from.parent);
  const toFd = upper.folder(to.parent);
  const inTheWay = source.directory === undefined ? undefined : statIfPresent(toFd, to.name);
  if (inTheWay !== undefined && (inTheWay.mode & constants.S_IFMT) !== constants.S_IFDIR) {
    // A folder cannot replace a whiteout, which is none, but trade places with it. One in the style of container images
    // would be a file at the other place.
    if (!isWhiteout(inTheWay)) upper.whiteout(toFd, to.name);
    renameAt(fromFd, from.name, toFd, to.name, RENAME_EXCHANGE);
    if (!leaveWhiteout) unlinkAt(fromFd, from.name);
  } else if (leaveWhiteout) {
    upper.renameLeavingWhiteout(fromFd, from.name, toFd, to.name);
  } else {
    renameAt(fromFd, from.name, toFd, to.name);
  }
  if (target !== undefined) {
    // The name stays, and keeps its place in listings.
    to.parent.directory?.children.delete(to.name);
    core.dropName(target, to.parent, to.name);
  }
  core.nameRemoved(from.parent, from.name, leaveWhiteout);
  core.dropName(source, from.parent, from.name);
  core.nameAdded(to.parent, to.name, source.type);
  core.addName(source, to.parent, to.name);
  if (target !== undefined) core.dropIfUnused(target);
}

/** Makes an empty folder one that the disk takes for empty too; should the rename fail, it is still what it was. */
function clear({ upper, inodes }: OverlayCore, folder: Inode, at: NamePlace): void {
  const { directory } = folder;
  upper.clearFolder(upper.folder(at.parent), at.name);
  folder.lower = undefined;
  if (directory === undefined) return;
  inodes.dropListing(directory);
  directory.whiteouts?.clear();
}

function checkReplace(core: OverlayCore, source: Inode, target: Inode, ctx: CallContext): void {
  if (source.directory !== undefined && target.directory === undefined) throw new ErrnoError('ENOTDIR');
  if (source.directory === undefined && target.directory !== undefined) throw new ErrnoError('EISDIR');
  if (target.directory !== undefined && !core.isEmpty(target, ctx)) throw new ErrnoError('ENOTEMPTY');
}

function swap(core: OverlayCore, { source, from, target, to }: Move<Inode>, ctx: CallContext): void {
  const sourceOverLower = core.hasLower(to.parent, to.name, ctx);
  const targetOverLower = core.hasLower(from.parent, from.name, ctx);
  for (const inode of [source, target]) copyUpMetadata(core, inode, ctx);
  copyUpDirectory(core, from.parent);
  copyUpDirectory(core, to.parent);
  markMoved(core, source, sourceOverLower);
  markMoved(core, target, targetOverLower);
  const { upper } = core;
  upper.giveName(upper.place(source), upper.folder(to.parent), to.name);
  upper.giveName(upper.place(target), upper.folder(from.parent), from.name);
  renameAt(upper.folder(from.parent), from.name, upper.folder(to.parent), to.name, RENAME_EXCHANGE);
  core.dropName(source, from.parent, from.name);
  core.dropName(target, to.parent, to.name);
  from.parent.directory?.children.delete(from.name);
  to.parent.directory?.children.delete(to.name);
  core.addName(source, to.parent, to.name);
  core.addName(target, from.parent, from.name);
  from.parent.directory?.upperNames?.set(from.name, target.type);
  to.parent.directory?.upperNames?.set(to.name, source.type);
}

/**
 * Before an object moves: what it has in the lower layer must still be found from the new place, and what the lower
 * layer has at the new place must not shine through.
 */
function markMoved(core: OverlayCore, inode: Inode, overLower: boolean): void {
  const { upper } = core;
  const { dirfd, name } = upper.place(inode);
  if (inode.lower !== undefined) upper.format.setRedirect(dirfd, name, inode.lower.path);
  else if (inode.directory !== undefined && overLower) upper.format.setOpaque(dirfd, name);
}
