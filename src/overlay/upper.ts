// The writable layer: a folder on the local disk in overlayfs's format, and the work folder beside it.
//
// Everything is reached through descriptors of folders and single names, so that neither deep paths (PATH_MAX) nor
// renames of parents matter. Nothing half-made is ever visible: objects are made in the work folder and renamed.
import { constants, mkdirSync } from 'node:fs';
import { ErrnoError } from '../util/errno.ts';
import { type FileLock, tryLockFolder } from '../util/file-lock.ts';
import {
  AT_REMOVEDIR,
  closeFd,
  mknodAt,
  O_PATH,
  openAt,
  openPath,
  readDirectory,
  removeXattrAt,
  RENAME_EXCHANGE,
  RENAME_WHITEOUT,
  renameAt,
  setXattrAt,
  statAt,
  statIfPresent,
  unlinkAt,
} from '../util/syscall.ts';
import type { Inode } from './inode.ts';
import { hiddenByOci, isOciName, isOciWhiteout, markAsFile } from './oci-whiteouts.ts';
import { OverlayFormat, type OverlayNamespace } from './overlay-format.ts';

/** Descriptors of upper folders that are kept open; the rest are opened again when needed. */
const MAX_OPEN_FOLDERS = 1024;

/** How an upper object is named to a system call: `name` in `dirfd`, or `dirfd` itself when the name is empty. */
export interface UpperPlace {
  readonly dirfd: number;
  readonly name: string;
}

/** The upper and the work folder. */
export class UpperLayer {
  readonly format: OverlayFormat;
  readonly workFd: number;
  readonly #rootFd: number;
  readonly #lock: FileLock;
  readonly #open = new Set<Inode>();
  readonly #retired: number[] = [];
  #clock = 0;
  #counter = 0;

  private constructor(rootFd: number, workFd: number, lock: FileLock, namespace: OverlayNamespace) {
    this.#rootFd = rootFd;
    this.#lock = lock;
    this.workFd = workFd;
    this.format = new OverlayFormat(namespace);
  }

  /**
   * Opens (or makes) both folders and checks that they can hold an overlay. Throws ErrnoError with a message for the
   * user: EXDEV when they are on different filesystems, EOPNOTSUPP when attributes are not supported, EBUSY when another
   * overlay uses them: two would not see each other's changes, and take away each other's objects in the making.
   */
  static open(upperDir: string, workDir: string): UpperLayer {
    mkdirSync(upperDir, { recursive: true, mode: 0o755 });
    mkdirSync(workDir, { recursive: true, mode: 0o700 });
    const lock = tryLockFolder(workDir);
    if (lock === undefined) {
      throw new ErrnoError('EBUSY', `${upperDir} is in use by another mount, or is not free yet after one`);
    }
    const flags = O_PATH | constants.O_DIRECTORY;
    const rootFd = openPath(Buffer.from(upperDir).toString('latin1'), flags);
    const workFd = openPath(Buffer.from(workDir).toString('latin1'), flags);
    try {
      if (statAt(rootFd, '').dev !== statAt(workFd, '').dev) {
        throw new ErrnoError('EXDEV', `${upperDir} and ${workDir} must be on one filesystem`);
      }
      for (const { name } of readDirectory(workFd)) removeTree(workFd, name);
      return new UpperLayer(rootFd, workFd, lock, probeNamespace(workFd, upperDir));
    } catch (error) {
      closeFd(rootFd);
      closeFd(workFd);
      lock.release();
      throw error;
    }
  }

  /** O_PATH descriptor of a folder that the upper layer has. Stays valid until the event loop turns. */
  folder(inode: Inode): number {
    const directory = inode.directory;
    if (directory === undefined) throw new ErrnoError('ENOTDIR');
    directory.fdUsed = ++this.#clock;
    if (directory.fd >= 0) return directory.fd;
    const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    if (inode.parent === undefined) {
      if (inode.ino !== 1) throw new ErrnoError('ENOENT');
      directory.fd = openAt(this.#rootFd, '.', flags);
    } else {
      directory.fd = openAt(this.folder(inode.parent), inode.name, flags);
    }
    this.#open.add(inode);
    if (this.#open.size > MAX_OPEN_FOLDERS) this.#closeOldest(inode);
    return directory.fd;
  }

  /** Where an upper object is. */
  place(inode: Inode): UpperPlace {
    if (inode.pinned >= 0) return { dirfd: inode.pinned, name: '' };
    if (inode.parent === undefined) return { dirfd: this.folder(inode), name: '' };
    return { dirfd: this.folder(inode.parent), name: inode.name };
  }

  /** Keeps an object reachable that is about to lose its name. */
  pin(inode: Inode): void {
    if (inode.pinned >= 0) return;
    const { dirfd, name } = this.place(inode);
    inode.pinned = openAt(dirfd, name, O_PATH | constants.O_NOFOLLOW);
  }

  /** Closes what is open for an inode that is dropped from memory. */
  releaseFolder(inode: Inode): void {
    this.#open.delete(inode);
    const directory = inode.directory;
    if (directory !== undefined && directory.fd >= 0) {
      closeFd(directory.fd);
      directory.fd = -1;
    }
    if (inode.pinned >= 0) {
      closeFd(inode.pinned);
      inode.pinned = -1;
    }
  }

  /** A name that is free in the work folder. */
  temporaryName(): string {
    return `#${process.pid}-${++this.#counter}`;
  }

  /** Removes what an operation that failed left in the work folder. */
  discard(temporary: string): void {
    removeTree(this.workFd, temporary);
  }

  /** Puts a whiteout under a name, in place of a non-folder that may be there. */
  whiteout(dirfd: number, name: string): void {
    if (statIfPresent(dirfd, name) === undefined) {
      mknodAt(dirfd, name, constants.S_IFCHR, 0);
      return;
    }
    const temporary = this.temporaryName();
    mknodAt(this.workFd, temporary, constants.S_IFCHR, 0);
    renameAt(this.workFd, temporary, dirfd, name);
  }

  /** Moves an object out of the work folder to its name, over a whiteout that may be there. */
  publish(temporary: string, dirfd: number, name: string, isDirectory: boolean): void {
    if (isDirectory && statIfPresent(dirfd, name) !== undefined) {
      // A folder cannot be renamed over a whiteout, which is none: swap them, then drop the whiteout.
      renameAt(this.workFd, temporary, dirfd, name, RENAME_EXCHANGE);
      unlinkAt(this.workFd, temporary);
    } else {
      renameAt(this.workFd, temporary, dirfd, name);
    }
  }

  /**
   * An object is about to get this name, which may be in the style of container images: a file is marked as one, and a
   * whiteout that is in its place is replaced by one in overlayfs's style. `dirfd` is that of the folder, `place` the
   * object.
   */
  giveName(place: UpperPlace, dirfd: number, name: string): void {
    if (!isOciName(name)) return;
    markAsFile(place.dirfd, place.name, this.format.namespace);
    const stat = statIfPresent(dirfd, name);
    if (stat === undefined || !isOciWhiteout(dirfd, name, stat)) return;
    const hidden = hiddenByOci(name);
    const beside = hidden === undefined ? undefined : statIfPresent(dirfd, hidden);
    if (hidden === undefined) this.format.setOpaque(dirfd, '');
    else if (beside === undefined) this.whiteout(dirfd, hidden);
    else if ((beside.mode & constants.S_IFMT) === constants.S_IFDIR) {
      if (this.format.read(dirfd, hidden).redirect === undefined) this.format.setOpaque(dirfd, hidden);
    }
  }

  /** A file is about to be emptied, which must not make a whiteout of it: marks it where a name of it needs that. */
  keepName(inode: Inode): void {
    const hasOciName =
      isOciName(inode.name) || Array.from(inode.aliases ?? []).some((alias) => isOciName(alias.name));
    if (!hasOciName) return;
    const { dirfd, name } = this.place(inode);
    markAsFile(dirfd, name, this.format.namespace);
  }

  /** Removes a folder that holds nothing but whiteouts, leaving a whiteout where `hide` asks for one. */
  removeFolder(dirfd: number, name: string, hide: boolean): void {
    const temporary = this.temporaryName();
    if (hide) {
      mknodAt(this.workFd, temporary, constants.S_IFCHR, 0);
      renameAt(this.workFd, temporary, dirfd, name, RENAME_EXCHANGE);
    } else {
      renameAt(dirfd, name, this.workFd, temporary);
    }
    removeTree(this.workFd, temporary);
  }

  /** Removes the whiteouts of a folder that holds nothing else, so that a rename may replace it. It looks the same. */
  clearFolder(dirfd: number, name: string): void {
    this.format.setOpaque(dirfd, name);
    emptyTree(dirfd, name);
  }

  /** Renames within the upper layer and leaves a whiteout at the old name, in one step where the disk can. */
  renameLeavingWhiteout(dirfd: number, name: string, newDirfd: number, newName: string): void {
    try {
      renameAt(dirfd, name, newDirfd, newName, RENAME_WHITEOUT);
    } catch (error) {
      if (!(error instanceof ErrnoError) || (error.code !== 'EINVAL' && error.code !== 'EPERM')) throw error;
      // What may lack space comes first.
      const temporary = this.temporaryName();
      mknodAt(this.workFd, temporary, constants.S_IFCHR, 0);
      try {
        renameAt(dirfd, name, newDirfd, newName);
      } catch (failure) {
        this.discard(temporary);
        throw failure;
      }
      renameAt(this.workFd, temporary, dirfd, name);
    }
  }

  close(): void {
    for (const inode of this.#open) this.releaseFolder(inode);
    this.#closeRetired();
    closeFd(this.workFd);
    closeFd(this.#rootFd);
    this.#lock.release();
  }

  #closeOldest(keep: Inode): void {
    const byAge = [...this.#open]
      .filter((inode) => inode !== keep && inode.parent !== undefined)
      .sort((a, b) => (a.directory?.fdUsed ?? 0) - (b.directory?.fdUsed ?? 0));
    for (const inode of byAge.slice(0, byAge.length / 2)) {
      const directory = inode.directory;
      if (directory === undefined) continue;
      this.#retire(directory.fd);
      directory.fd = -1;
      this.#open.delete(inode);
    }
  }

  /** Closes a descriptor after the operation under way, which may hold it: a deep path opens many at once. */
  #retire(fd: number): void {
    if (this.#retired.length === 0) setImmediate(() => this.#closeRetired());
    this.#retired.push(fd);
  }

  #closeRetired(): void {
    for (const fd of this.#retired.splice(0)) closeFd(fd);
  }
}

/** Removes an object and everything below it, by its name in a folder. */
function removeTree(dirfd: number, name: string): void {
  const stat = statIfPresent(dirfd, name);
  if (stat === undefined) return;
  if ((stat.mode & constants.S_IFMT) !== constants.S_IFDIR) {
    unlinkAt(dirfd, name);
    return;
  }
  emptyTree(dirfd, name);
  unlinkAt(dirfd, name, AT_REMOVEDIR);
}

/** Removes everything in a folder. */
function emptyTree(dirfd: number, name: string): void {
  const fd = openAt(dirfd, name, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    for (const entry of readDirectory(fd)) removeTree(fd, entry.name);
  } finally {
    closeFd(fd);
  }
}

function probeNamespace(workFd: number, upperDir: string): OverlayNamespace {
  for (const namespace of ['trusted.overlay.', 'user.overlay.'] as const) {
    try {
      setXattrAt(workFd, '', `${namespace}opaque`, Buffer.from('n'));
      removeXattrAt(workFd, '', `${namespace}opaque`);
      return namespace;
    } catch (error) {
      if (!(error instanceof ErrnoError) || (error.code !== 'EPERM' && error.code !== 'EOPNOTSUPP'))
        throw error;
    }
  }
  throw new ErrnoError(
    'EOPNOTSUPP',
    `the filesystem of ${upperDir} has no extended attributes: choose another folder with antares_upper_root`,
  );
}
