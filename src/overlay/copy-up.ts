// Moving objects from the lower to the upper layer: folders and metadata at once, content when it is written.
import { constants, fdatasync, fstatSync, ftruncateSync } from 'node:fs';
import { promisify } from 'node:util';
import type { CallContext } from '../fuse/filesystem.ts';
import type { LayerEntry } from '../layers/layer.ts';
import { copyContent } from '../util/copy-content.ts';
import { ErrnoError } from '../util/errno.ts';
import {
  chmodAt,
  chownAt,
  closeFd,
  fallocate,
  mkdirAt,
  O_PATH,
  openAt,
  readDirectory,
  type Stat,
  statAt,
  symlinkAt,
  utimensAt,
} from '../util/syscall.ts';
import type { OverlayCore } from './core.ts';
import { alignHole } from './hole.ts';
import type { Inode } from './inode.ts';
import type { Preserved } from './overlay-format.ts';
import { openUpper } from './open-upper.ts';
import { need } from './pending.ts';
import type { UpperPlace } from './upper.ts';

const fdatasyncAsync: (fd: number) => Promise<void> = promisify(fdatasync);

const { S_IFMT, S_IFLNK } = constants;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Makes sure that the upper layer has the folder (and so its parents); returns its descriptor. */
export function copyUpDirectory(core: OverlayCore, inode: Inode): number {
  if (!inode.upper) buildDirectory(core, inode);
  return core.upper.folder(inode);
}

function buildDirectory(core: OverlayCore, inode: Inode): void {
  build(core, inode, (temporary) => mkdirAt(core.upper.workFd, temporary, 0o700));
}

/** Gives an upper folder that was never used the attributes of the lower root, as if that had been copied up. */
export function adoptRoot(core: OverlayCore, root: Inode): void {
  const fd = core.upper.folder(root);
  const isFresh = core.upper.format.read(fd, '').origin === undefined && readDirectory(fd).length === 0;
  if (isFresh && root.lower !== undefined) dressAt(core, root, { dirfd: fd, name: '' });
}

/**
 * Makes sure that the upper layer has the object's metadata. A file's content stays in the lower layer, and a rename
 * keeps finding it there, so this never downloads anything but a symlink's target.
 */
export function copyUpMetadata(core: OverlayCore, inode: Inode, ctx: CallContext): void {
  if (inode.upper) return;
  if (inode.directory !== undefined) {
    buildDirectory(core, inode);
    return;
  }
  const { upper } = core;
  const lower = inode.lower as LayerEntry;
  const isLink = inode.type === S_IFLNK;
  const target = isLink ? need(core.layer.readlink(lower, ctx)) : undefined;
  const size = isLink ? 0 : core.descriptions.lowerSize(inode, ctx);
  build(core, inode, (temporary) => {
    if (target !== undefined) symlinkAt(target, upper.workFd, temporary);
    else makeFile(core, temporary, size);
    if (size > 0) upper.format.setMetacopy(upper.workFd, temporary);
  });
  if (!isLink && size > 0) return;
  inode.lower = undefined;
  inode.version++;
}

/** Empties the file, whatever it held, without fetching it: what a truncating open does. */
export function discardContent(core: OverlayCore, inode: Inode): void {
  if (inode.upper) {
    core.upper.keepName(inode);
    const fd = openUpper(core, inode, constants.O_WRONLY);
    try {
      ftruncateSync(fd, 0);
    } finally {
      closeFd(fd);
    }
    if (!inode.isMetacopy) return;
    // In this order: a hole of the old size must never pass for content.
    const { dirfd, name } = core.upper.place(inode);
    core.upper.format.clearMetacopy(dirfd, name);
  } else {
    build(core, inode, (temporary) => makeFile(core, temporary, 0));
    const { dirfd, name } = core.upper.place(inode);
    utimensAt(dirfd, name, undefined, 'now');
  }
  inode.lower = undefined;
  inode.version++;
}

/** Makes sure that the upper layer has the file with its content; suspends the operation while it is copied. */
export function copyUpContent(core: OverlayCore, inode: Inode, ctx: CallContext): void {
  if (inode.copyUp !== undefined) need(inode.copyUp);
  if (inode.upper && !inode.isMetacopy) return;
  copyUpMetadata(core, inode, ctx);
  if (!inode.isMetacopy) return;
  const copyUp = fillContent(core, inode).finally(() => {
    core.copyUps.delete(copyUp);
    inode.copyUp = undefined;
    core.dropIfUnused(inode);
  });
  core.copyUps.add(copyUp);
  inode.copyUp = copyUp;
  need(copyUp);
}

/**
 * Copies the lower content into the upper file that stands for it, and syncs it before the mark that says so is taken
 * away: after a crash at any point the file still is what it was. Several callers may wait for it, so no single one
 * can interrupt it.
 */
async function fillContent(core: OverlayCore, inode: Inode): Promise<void> {
  const source = await core.layer.open(inode.lower as LayerEntry, { signal: core.closing.signal });
  try {
    const size = fstatSync(source).size;
    // The caller may have chosen by the wrong size where it writes; and of another size, it may be another file.
    requireTold(core, inode, size);
    alignHole(core, inode);
    const before = locate(core, inode);
    const preserved = { mode: before.mode & 0o7777, ...times(before) };
    inode.copied = before;
    setCopying(core, inode, preserved);
    const target = openUpper(core, inode, constants.O_WRONLY);
    try {
      await copyContent(source, target, size);
      // A hole whose size was never told may be too large.
      if (size < before.size) ftruncateSync(target, size);
      await fdatasyncAsync(target);
    } catch (error) {
      giveSpaceBack(target, before.size);
      throw error;
    } finally {
      closeFd(target);
      const { dirfd, name } = core.upper.place(inode);
      core.upper.format.putBack(dirfd, name, preserved);
      inode.copied = undefined;
    }
    const { dirfd, name } = core.upper.place(inode);
    core.upper.format.clearMetacopy(dirfd, name);
    inode.lower = undefined;
    inode.version++;
  } finally {
    inode.copied = undefined;
    closeFd(source);
  }
}

/**
 * Puts right what was told of the size of a file, whose content turns out to be of `size` bytes, and fails the call: a
 * layer that decides by the size may show another content from now on. Throws ErrnoError.
 */
export function requireTold(core: OverlayCore, inode: Inode, size: number): void {
  const { layer, notifier } = core;
  const lower = inode.lower as LayerEntry;
  const told = toldSize(core, inode);
  if (told === undefined || told === size) return;
  if (layer.knownSize(lower) !== size) layer.correctSize(lower, size);
  alignHole(core, inode, size);
  notifier?.invalidateInode(inode.ino, 0, 0);
  throw new ErrnoError('EIO', `the server told a wrong size of ${lower.path}: it is ${size}; try again`);
}

/** The size that was shown of a file whose content is the lower layer's. */
function toldSize(core: OverlayCore, inode: Inode): number | undefined {
  const known = core.layer.knownSize(inode.lower as LayerEntry);
  const isOfHole = inode.isHole && (inode.isSizeGuessed || known === undefined);
  return isOfHole ? core.stat(inode).size : known;
}

/** Remembers on the disk what the copy is about to change. */
function setCopying(core: OverlayCore, inode: Inode, preserved: Preserved): void {
  const { dirfd, name } = core.upper.place(inode);
  core.upper.format.setCopying(dirfd, name, preserved);
}

/**
 * Makes a failed copy a hole again: as long as the mark stands, nobody reads it. Never by way of size 0, which says
 * that the file was emptied.
 */
function giveSpaceBack(fd: number, size: number): void {
  try {
    ftruncateSync(fd, size);
    fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, size);
  } catch {
    // The disk cannot: the next copy-up writes over it.
  }
}

function locate(core: OverlayCore, inode: Inode): Stat {
  const { dirfd, name } = core.upper.place(inode);
  return statAt(dirfd, name);
}

function makeFile(core: OverlayCore, temporary: string, size: number): void {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
  const fd = openAt(core.upper.workFd, temporary, flags, 0o600);
  try {
    // A hole of the full size, so that `ls -l` on the upper folder (and overlayfs) shows the size.
    if (size > 0) ftruncateSync(fd, size);
  } finally {
    closeFd(fd);
  }
}

/** Gives an upper object the attributes that the lower one has. */
function dressAt(
  { layer, owner, upper, mayChown }: OverlayCore,
  inode: Inode,
  { dirfd, name }: UpperPlace,
): void {
  const lower = inode.lower as LayerEntry;
  upper.format.setOrigin(dirfd, name, { ino: inode.ino, id: lower.id });
  if (mayChown) chownAt(dirfd, name, owner.uid, owner.gid);
  if ((lower.mode & S_IFMT) !== S_IFLNK) chmodAt(dirfd, name, lower.mode & 0o7777);
  const time = { seconds: layer.time, nanoseconds: 0 };
  utimensAt(dirfd, name, time, time);
}

/**
 * Makes an upper object for the inode in the work folder and moves it, finished, to its place; one that no longer has
 * a name is only kept open.
 */
function build(core: OverlayCore, inode: Inode, make: (temporary: string) => void): void {
  const { upper } = core;
  const parentFd = inode.parent === undefined ? -1 : copyUpDirectory(core, inode.parent);
  const temporary = upper.temporaryName();
  try {
    make(temporary);
    dressAt(core, inode, { dirfd: upper.workFd, name: temporary });
    if (parentFd < 0) {
      inode.pinned = openAt(upper.workFd, temporary, O_PATH | constants.O_NOFOLLOW);
      upper.discard(temporary);
    } else {
      const before = statAt(parentFd, '');
      upper.publish(temporary, parentFd, inode.name, inode.directory !== undefined);
      restoreTimes(parentFd, before);
    }
  } catch (error) {
    upper.discard(temporary);
    throw error;
  }
  becomeUpper(core, inode);
}

function becomeUpper(core: OverlayCore, inode: Inode): void {
  inode.upper = true;
  inode.isUncapable = true;
  inode.upperIno = locate(core, inode).ino;
  if (inode.directory !== undefined) {
    // It was made just now, so nothing is in it.
    inode.directory.upperNames = new Map();
    inode.directory.whiteouts = new Set();
  }
  const names = inode.parent?.directory?.upperNames;
  if (names === undefined) return;
  if (!names.has(inode.name)) core.inodes.countUpperNames(1);
  names.set(inode.name, inode.type);
}

/** Copying up is no change of the parent folder. */
function restoreTimes(fd: number, before: Stat): void {
  const { atime, mtime } = times(before);
  utimensAt(fd, '', atime, mtime);
}

function times(stat: Stat): Record<'atime' | 'mtime', { seconds: number; nanoseconds: number }> {
  return {
    atime: { seconds: stat.atime, nanoseconds: stat.atimeNsec },
    mtime: { seconds: stat.mtime, nanoseconds: stat.mtimeNsec },
  };
}
