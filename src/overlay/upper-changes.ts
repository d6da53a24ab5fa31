// What an upper folder makes of the lower layer, read from the disk alone: for whoever looks at it beside the overlay.
import { constants, fstatSync } from 'node:fs';
import { ErrnoError } from '../util/errno.ts';
import {
  closeFd,
  O_PATH,
  openAt,
  openPath,
  readDirectory,
  type Stat,
  statIfPresent,
} from '../util/syscall.ts';
import { hiddenByOci, isHiddenByOci, isOciName, isOciWhiteout, isOpaqueByOci } from './oci-whiteouts.ts';
import { isWhiteout, OverlayFormat } from './overlay-format.ts';

/** What an upper object leaves of the lower layer under its name. */
export interface UpperChange {
  /**
   * - `hidden`: nothing: it was removed, or replaced.
   * - `folder`: a folder, which may have changes inside.
   * - `content`: the content of a file.
   */
  readonly shows: 'hidden' | 'folder' | 'content';
  /**
   * Lower path that a folder or a file stands for: `/`-led from the layer's root, else a name in the lower folder beside
   * this one. Undefined: nothing (of a folder that is the upper layer's alone, or hides the lower one).
   */
  readonly lower: string | undefined;
  /** The upper object that shows under the name, of any kind; undefined: none does, the name was removed. */
  readonly object: Stat | undefined;
}

const { S_IFMT, S_IFDIR, O_DIRECTORY, O_NOFOLLOW } = constants;
const FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW;
const REMOVED: UpperChange = { shows: 'hidden', lower: undefined, object: undefined };
const format = new OverlayFormat('trusted.overlay.');

/** Reads upper folders. The overlay may change them meanwhile: each answer is good for the moment only. */
export class UpperChanges {
  readonly #upperDir: string;

  /** `upperDir` is the root of the upper layer. */
  constructor(upperDir: string) {
    this.#upperDir = Buffer.from(upperDir).toString('latin1');
  }

  /** The upper objects in a folder by name; none when the upper layer does not have the folder (any more). */
  in(path: readonly string[]): Map<string, UpperChange> {
    const changes = new Map<string, UpperChange>();
    this.#within(path, (dirfd) => {
      for (const { name } of readDirectory(dirfd)) addChange(dirfd, name, changes);
    });
    return changes;
  }

  /** The names in an upper folder, in no order; none when the upper layer does not have it (any more). */
  names(path: readonly string[]): string[] {
    let names: string[] = [];
    this.#within(path, (dirfd) => {
      names = readDirectory(dirfd).map(({ name }) => name);
    });
    return names;
  }

  /** Adds what some names of a folder say to what is known of it; `mayGoOn` is asked after each. Returns how many. */
  add(
    path: readonly string[],
    names: readonly string[],
    changes: Map<string, UpperChange>,
    mayGoOn: () => boolean,
  ): number {
    let done = 0;
    this.#within(path, (dirfd) => {
      do {
        addChange(dirfd, names[done++] as string, changes);
      } while (done < names.length && mayGoOn());
    });
    // A folder that is gone says nothing more.
    return done === 0 ? names.length : done;
  }

  /** The upper object under one name, or undefined. */
  at(path: readonly string[], name: string): UpperChange | undefined {
    let change: UpperChange | undefined;
    this.#within(path, (dirfd) => {
      change = readUpperObject(dirfd, name);
    });
    return change;
  }

  /**
   * A descriptor of the regular file that the upper layer has under a path, for reading; undefined when there is none
   * (any more). The caller closes it.
   */
  open(path: readonly string[]): number | undefined {
    let fd: number | undefined;
    this.#within(path.slice(0, -1), (dirfd) => {
      fd = openRegular(dirfd, path.at(-1) ?? '');
    });
    return fd;
  }

  /** Goes down by descriptors: a path may be longer than the kernel takes. */
  #within(path: readonly string[], use: (dirfd: number) => void): void {
    let fd: number | undefined;
    try {
      fd = openPath(this.#upperDir, O_PATH | O_DIRECTORY);
      for (const name of path) {
        const next = openAt(fd, name, FOLDER_FLAGS);
        closeFd(fd);
        fd = next;
      }
      use(fd);
    } catch (error) {
      if (!(error instanceof ErrnoError) || !['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code)) throw error;
    } finally {
      if (fd !== undefined) closeFd(fd);
    }
  }
}

/** Adds what one name in an open upper folder says: of itself, and of the name that it hides. */
function addChange(dirfd: number, name: string, changes: Map<string, UpperChange>): void {
  const change = readUpperObject(dirfd, name);
  if (change === undefined) return;
  const isMark = isOciName(name) && change.object !== undefined && isOciWhiteout(dirfd, name, change.object);
  changes.set(name, isMark ? REMOVED : change);
  const hidden = isMark ? hiddenByOci(name) : undefined;
  if (hidden === undefined || changes.has(hidden)) return;
  const beside = readUpperObject(dirfd, hidden);
  if (beside !== undefined) changes.set(hidden, beside);
}

/** What an upper object makes of its name; undefined when the folder has nothing that concerns it. */
function readUpperObject(dirfd: number, name: string): UpperChange | undefined {
  const stat = statIfPresent(dirfd, name);
  if (stat === undefined) return isHiddenByOci(dirfd, name) ? REMOVED : undefined;
  if (isWhiteout(stat)) return REMOVED;
  const { opaque, redirect, metacopy } = format.read(dirfd, name);
  if ((stat.mode & S_IFMT) === S_IFDIR) {
    const isOpaque =
      opaque || isOpaqueByOci(dirfd, name) || (redirect === undefined && isHiddenByOci(dirfd, name));
    return { shows: 'folder', lower: isOpaque ? undefined : (redirect ?? name), object: stat };
  }
  if (metacopy) return { shows: 'content', lower: redirect ?? name, object: stat };
  return { shows: 'hidden', lower: undefined, object: stat };
}

function openRegular(dirfd: number, name: string): number | undefined {
  const stat = statIfPresent(dirfd, name);
  // Opening anything else may block, or have effects.
  if (stat === undefined || (stat.mode & S_IFMT) !== constants.S_IFREG) return undefined;
  const fd = openAt(dirfd, name, constants.O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK);
  if (fstatSync(fd).isFile()) return fd;
  closeFd(fd);
  return undefined;
}
