// What an upper folder makes of the lower layer, read from the disk alone: for whoever looks at it beside the overlay.
import { constants } from 'node:fs';
import { ErrnoError } from '../util/errno.ts';
import { closeFd, O_PATH, openAt, openPath, readDirectory, statIfPresent } from '../util/syscall.ts';
import { hiddenByOci, isHiddenByOci, isOciName, isOpaqueByOci } from './oci-whiteouts.ts';
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
}

const { S_IFMT, S_IFDIR, O_DIRECTORY, O_NOFOLLOW } = constants;
const FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW;

/** Reads upper folders. The overlay may change them meanwhile: each answer is good for the moment only. */
export class UpperChanges {
  readonly #upperDir: string;
  readonly #format = new OverlayFormat('trusted.overlay.');

  /** `upperDir` is the root of the upper layer. */
  constructor(upperDir: string) {
    this.#upperDir = Buffer.from(upperDir).toString('latin1');
  }

  /** The upper objects in a folder by name; none when the upper layer does not have the folder (any more). */
  in(path: readonly string[]): Map<string, UpperChange> {
    const changes = new Map<string, UpperChange>();
    this.#within(path, (dirfd) => {
      for (const { name } of readDirectory(dirfd)) {
        const change = this.#read(dirfd, name);
        if (change !== undefined) changes.set(name, change);
        const hidden = isOciName(name) && change?.shows === 'hidden' ? hiddenByOci(name) : undefined;
        if (hidden === undefined || changes.has(hidden)) continue;
        const beside = this.#read(dirfd, hidden);
        if (beside !== undefined) changes.set(hidden, beside);
      }
    });
    return changes;
  }

  /** The upper object under one name, or undefined. */
  at(path: readonly string[], name: string): UpperChange | undefined {
    let change: UpperChange | undefined;
    this.#within(path, (dirfd) => {
      change = this.#read(dirfd, name);
    });
    return change;
  }

  #read(dirfd: number, name: string): UpperChange | undefined {
    const stat = statIfPresent(dirfd, name);
    if (stat === undefined) {
      return isHiddenByOci(dirfd, name) ? { shows: 'hidden', lower: undefined } : undefined;
    }
    const isFolder = (stat.mode & S_IFMT) === S_IFDIR;
    if (isWhiteout(stat)) return { shows: 'hidden', lower: undefined };
    const { opaque, redirect, metacopy } = this.#format.read(dirfd, name);
    if (isFolder) {
      const isOpaque =
        opaque || isOpaqueByOci(dirfd, name) || (redirect === undefined && isHiddenByOci(dirfd, name));
      return { shows: 'folder', lower: isOpaque ? undefined : (redirect ?? name) };
    }
    return metacopy ? { shows: 'content', lower: redirect ?? name } : { shows: 'hidden', lower: undefined };
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
