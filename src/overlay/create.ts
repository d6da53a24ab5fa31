// Making objects: mknod, mkdir, symlink, link, and the creating half of open.
import { constants } from 'node:fs';
import type { CallContext, Entry } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import {
  AT_REMOVEDIR,
  chmodAt,
  chownAt,
  closeFd,
  linkAt,
  mkdirAt,
  mknodAt,
  O_PATH,
  openAt,
  statAt,
  type Stat,
  statIfPresent,
  symlinkAt,
  unlinkAt,
} from '../util/syscall.ts';
import { copyUpDirectory, copyUpMetadata } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import type { Owner } from './descriptions.ts';
import type { Inode } from './inode.ts';
import { isOciName, isOciWhiteout } from './oci-whiteouts.ts';
import { isWhiteout } from './overlay-format.ts';
import { requireUnparted } from './split.ts';
import type { UpperPlace } from './upper.ts';

const { S_IFMT, S_IFCHR, S_IFDIR } = constants;
const S_ISGID = 0o2000;
/** Bits that come after the owner: for a moment they would be those of this process. */
const SPECIAL_BITS = 0o7000;
const NAME_MAX = 255;
const OWN_UID = process.geteuid?.() ?? 0;
const OWN_GID = process.getegid?.() ?? 0;
const UMASK = process.umask(0o077);
process.umask(UMASK);

/** mknod(2). A character device 0:0 would be a whiteout, and is refused with EPERM. */
export function mknod(
  core: OverlayCore,
  parent: Inode,
  name: string,
  mode: number,
  rdev: number,
  ctx: CallContext,
): Entry {
  if ((mode & S_IFMT) === S_IFCHR && rdev === 0) throw new ErrnoError('EPERM');
  const make = (dirfd: number, at: string, permissions: number): void =>
    mknodAt(dirfd, at, (mode & S_IFMT) | permissions, rdev);
  return core.entry(makeObject(core, parent, name, ctx, mode, make), ctx);
}

/** mkdir(2). */
export function mkdir(core: OverlayCore, parent: Inode, name: string, mode: number, ctx: CallContext): Entry {
  const make = (dirfd: number, at: string, permissions: number): void => mkdirAt(dirfd, at, permissions);
  return core.entry(makeObject(core, parent, name, ctx, S_IFDIR | (mode & 0o7777), make), ctx);
}

/** symlink(2). */
export function symlink(
  core: OverlayCore,
  parent: Inode,
  name: string,
  target: Buffer,
  ctx: CallContext,
): Entry {
  const make = (dirfd: number, at: string): void => symlinkAt(target, dirfd, at);
  return core.entry(makeObject(core, parent, name, ctx, constants.S_IFLNK, make), ctx);
}

/** link(2). A file of the lower layer is not downloaded for it. */
export function link(core: OverlayCore, inode: Inode, parent: Inode, name: string, ctx: CallContext): Entry {
  if (inode.directory !== undefined) throw new ErrnoError('EPERM');
  requireUnparted(inode);
  requireFree(core, parent, name, ctx);
  const isGone = inode.parent === undefined && core.attributes(inode, ctx).nlink === 0;
  if (isGone && !inode.isLinkable) throw new ErrnoError('ENOENT');
  copyUpMetadata(core, inode, ctx);
  const parentFd = copyUpDirectory(core, parent);
  const { upper } = core;
  if (inode.isMetacopy && inode.lower !== undefined) {
    // The other name has no lower file beside it to be found by.
    const { dirfd, name: own } = upper.place(inode);
    upper.format.setRedirect(dirfd, own, inode.lower.path);
  }
  const source = upper.place(inode);
  upper.giveName(source, parentFd, name);
  const present = statIfPresent(parentFd, name);
  if (present === undefined) {
    linkAt(source.dirfd, source.name, parentFd, name);
  } else {
    const temporary = upper.temporaryName();
    linkAt(source.dirfd, source.name, upper.workFd, temporary);
    upper.publish(temporary, parentFd, name, false);
  }
  core.nameAdded(parent, name, inode.type);
  core.addName(inode, parent, name);
  core.linksChange(inode);
  core.changes.named(parent, name);
  return core.entry(inode, ctx);
}

/** Throws unless an object may be made under the name. */
export function requireFree(core: OverlayCore, parent: Inode, name: string, ctx: CallContext): void {
  if (name.length > NAME_MAX) throw new ErrnoError('ENAMETOOLONG');
  if (core.child(parent, name, ctx) !== undefined) throw new ErrnoError('EEXIST');
}

/**
 * Makes an object under a free name and gives it to the caller. Where a whiteout is in the way the object is made in
 * the work folder and replaces it in one step. `make` makes it under the name and with the permissions that it is told.
 */
export function makeObject(
  core: OverlayCore,
  parent: Inode,
  name: string,
  ctx: CallContext,
  mode: number,
  make: (dirfd: number, name: string, permissions: number) => void,
): Inode {
  requireFree(core, parent, name, ctx);
  const { upper } = core;
  const isDirectory = (mode & S_IFMT) === S_IFDIR;
  const overLower = core.hasLower(parent, name, ctx);
  const parentFd = copyUpDirectory(core, parent);
  const wanted = dress(statAt(parentFd, ''), mode, ctx);
  const inWork =
    isHidden(parent, parentFd, name) ||
    (isDirectory && overLower) ||
    isOciName(name) ||
    // What has yet to be given its owner or its mode is not to be found without them, not after a crash either.
    !isMadeReady(core, wanted);
  const dirfd = inWork ? upper.workFd : parentFd;
  const at = inWork ? upper.temporaryName() : name;
  let isMade = false;
  try {
    // Set-id bits come after the owner: for a moment they would be those of this process.
    make(dirfd, at, mode & 0o777);
    isMade = true;
    if (inWork) upper.giveName({ dirfd, name: at }, parentFd, name);
    // Only who may write to a folder can move it to another one, except root.
    const locksItself = inWork && isDirectory && !core.mayChown && (wanted.mode & constants.S_IWUSR) === 0;
    const movable = locksItself ? wanted.mode | constants.S_IWUSR : wanted.mode;
    const stat = claim(core, { dirfd, name: at }, wanted, movable);
    if (isDirectory && overLower) upper.format.setOpaque(dirfd, at);
    if (inWork) upper.publish(at, parentFd, name, isDirectory);
    if (locksItself) chmodAt(parentFd, name, wanted.mode & 0o7777);
    const inode = core.created(parent, name, stat);
    if (!isDirectory) core.changes.named(parent, name);
    return inode;
  } catch (error) {
    if (inWork) upper.discard(at);
    else if (isMade) discardNew(parentFd, name, isDirectory);
    throw error;
  }
}

/** Makes a regular file without a name, for a folder that gives it its group; `open` opens it. */
export function makeUnnamed(
  core: OverlayCore,
  parent: Inode,
  mode: number,
  ctx: CallContext,
  open: (workFd: number, permissions: number) => number,
): { inode: Inode; fd: number } {
  const { upper } = core;
  const { mode: folderMode, gid: folderGid } = core.attributes(parent, ctx);
  const gid = (folderMode & S_ISGID) === 0 ? ctx.gid : folderGid;
  const fd = open(upper.workFd, mode & 0o777);
  try {
    const stat = claim(core, { dirfd: fd, name: '' }, { uid: ctx.uid, gid }, constants.S_IFREG | mode);
    const pinned = openAt(-1, `/proc/self/fd/${fd}`, O_PATH);
    return { inode: core.createdUnnamed(stat, pinned), fd };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Whether the upper layer has a whiteout under the name. Anything else there is EEXIST. */
function isHidden(parent: Inode, parentFd: number, name: string): boolean {
  const whiteouts = parent.directory?.whiteouts;
  if (whiteouts !== undefined) return whiteouts.has(name);
  const present = statIfPresent(parentFd, name);
  if (present === undefined) return false;
  if (isWhiteout(present) || (isOciName(name) && isOciWhiteout(parentFd, name, present))) return true;
  throw new ErrnoError('EEXIST');
}

/** Owner and mode of a new object: they are the caller's, or follow from the folder. */
interface Dress extends Owner {
  readonly mode: number;
  /** Whether the group, and a folder's set-group-id bit, come from the folder. */
  readonly inherits: boolean;
}

function dress(folder: Stat, mode: number, ctx: CallContext): Dress {
  const inherits = (folder.mode & S_ISGID) !== 0;
  const isFolder = (mode & S_IFMT) === S_IFDIR;
  return {
    uid: ctx.uid,
    gid: inherits ? folder.gid : ctx.gid,
    mode: inherits && isFolder ? mode | S_ISGID : mode,
    inherits,
  };
}

/** Whether an object made in the folder has its owner and mode from the first moment on. */
function isMadeReady(core: OverlayCore, { uid, gid, mode, inherits }: Dress): boolean {
  const isOwn = uid === OWN_UID && (inherits || gid === OWN_GID);
  if (core.mayChown && !isOwn) return false;
  const given = inherits && (mode & S_IFMT) === S_IFDIR ? S_ISGID : 0;
  return (mode & S_IFMT) === constants.S_IFLNK || (mode & ~given & (SPECIAL_BITS | UMASK)) === 0;
}

/** Gives a new object its owner and its mode, where it has them not yet. */
function claim(core: OverlayCore, { dirfd, name }: UpperPlace, { uid, gid }: Owner, mode: number): Stat {
  const made = statAt(dirfd, name);
  const isForeign = made.gid !== gid || (core.mayChown && made.uid !== uid);
  if (isForeign) giveAway(core, { dirfd, name }, { uid, gid });
  // The kernel has masked the mode already; the mask of this process must not count.
  const isMasked = (mode & S_IFMT) !== constants.S_IFLNK && (made.mode & 0o7777) !== (mode & 0o7777);
  if (isMasked) chmodAt(dirfd, name, mode & 0o7777);
  return isForeign || isMasked ? statAt(dirfd, name) : made;
}

/** Somebody without privileges keeps what is new, but may give it to a group of theirs. */
function giveAway(core: OverlayCore, { dirfd, name }: UpperPlace, { uid, gid }: Owner): void {
  try {
    chownAt(dirfd, name, core.mayChown ? uid : -1, gid);
  } catch (error) {
    if (core.mayChown || !(error instanceof ErrnoError && error.code === 'EPERM')) throw error;
  }
}

function discardNew(dirfd: number, name: string, isDirectory: boolean): void {
  try {
    unlinkAt(dirfd, name, isDirectory ? AT_REMOVEDIR : 0);
  } catch {
    // It was not made: the error that led here says why.
  }
}
