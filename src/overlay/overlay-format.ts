// Overlayfs's on-disk format: extended attributes and whiteouts, and this program's additions to it.
//
// As root the attributes are `trusted.overlay.*`, which the kernel's overlayfs reads; an ordinary user cannot set those
// and writes `user.overlay.*`. Both are read, the own kind first, so that an upper folder survives a change of user.
import { constants } from 'node:fs';
import type { Timestamp } from '../fuse/filesystem.ts';
import { ErrnoError } from '../util/errno.ts';
import {
  chmodAt,
  getXattrAt,
  listXattrAt,
  removeXattrAt,
  setXattrAt,
  type Stat,
  utimensAt,
} from '../util/syscall.ts';
import { isGivenIno } from './inode-numbers.ts';

/** Prefixes of overlayfs's attributes. */
export type OverlayNamespace = 'trusted.overlay.' | 'user.overlay.';

/** What the attributes of an upper object say. */
export interface OverlayAttributes {
  /** A folder that hides the lower one of the same name. */
  readonly opaque: boolean;
  /** Lower path that a folder or metacopy stands for: `/`-led from the root, else a name in the same lower folder. */
  readonly redirect: string | undefined;
  /** The content is the lower layer's. */
  readonly metacopy: boolean;
  /** What the object was before it was copied up. */
  readonly origin: Origin | undefined;
  /** What a copy of its content changes on the disk while it runs: to be put back after a crash. */
  readonly copying: Preserved | undefined;
  /** Whether it has file capabilities: no part of the format, but known from the same call. */
  readonly isCapable: boolean;
}

/** Where a copied-up object came from: an addition of this program, ignored by overlayfs. */
export interface Origin {
  /** Inode number that it keeps. */
  readonly ino: number;
  /** Git object id of the content that was copied up. */
  readonly id: string;
}

const SET_ID_BITS = 0o6000;

/** Attributes that survive a copy-up of the content: an addition of this program. */
export interface Preserved {
  readonly mode: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
}

const none: OverlayAttributes = {
  opaque: false,
  redirect: undefined,
  metacopy: false,
  origin: undefined,
  copying: undefined,
  isCapable: false,
};

/** The attribute that holds file capabilities; the kernel asks for it at every first write. */
export const CAPABILITY_ATTRIBUTE = 'security.capability';

/** What fuse-overlayfs (and ScorpioFS through it) writes as an ordinary user; read only. */
const FUSE_OVERLAYFS = 'user.fuseoverlayfs.';
const FORMAT_PREFIXES = ['trusted.overlay.', 'user.overlay.', FUSE_OVERLAYFS];

/** Whether an attribute belongs to the format, and is neither shown nor changed through the mount. */
export function isOverlayAttribute(name: string): boolean {
  return FORMAT_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Whether an upper object is a whiteout: a character device 0:0. */
export function isWhiteout(stat: Stat): boolean {
  return (stat.mode & constants.S_IFMT) === constants.S_IFCHR && stat.rdev === 0;
}

/** Reads and writes the attributes in one of the namespaces. */
export class OverlayFormat {
  readonly namespace: OverlayNamespace;

  constructor(namespace: OverlayNamespace) {
    this.namespace = namespace;
  }

  /** The attributes of the upper object `name` in `dirfd` (of `dirfd` itself when the name is empty). */
  read(dirfd: number, name: string): OverlayAttributes {
    const names = listXattrAt(dirfd, name);
    const isCapable = names.includes(CAPABILITY_ATTRIBUTE);
    if (!names.some(isOverlayAttribute)) return isCapable ? { ...none, isCapable } : none;
    const other = this.namespace === 'user.overlay.' ? 'trusted.overlay.' : 'user.overlay.';
    const value = (key: string): string | undefined => {
      const all = [this.namespace + key, other + key, ...(key === 'opaque' ? [FUSE_OVERLAYFS + key] : [])];
      const found = all.find((candidate) => names.includes(candidate));
      return found === undefined ? undefined : getXattrAt(dirfd, name, found)?.toString('latin1');
    };
    return {
      opaque: value('opaque') === 'y',
      redirect: value('redirect'),
      metacopy: value('metacopy') !== undefined,
      origin: parseOrigin(value('scorpio')),
      copying: parsePreserved(value('scorpio.copying')),
      isCapable,
    };
  }

  setOpaque(dirfd: number, name: string): void {
    setXattrAt(dirfd, name, `${this.namespace}opaque`, Buffer.from('y'));
  }

  /** Points at a path of the lower layer (no leading slash); written as an absolute redirect. */
  setRedirect(dirfd: number, name: string, lowerPath: string): void {
    setXattrAt(dirfd, name, `${this.namespace}redirect`, Buffer.from(`/${lowerPath}`, 'latin1'));
  }

  setMetacopy(dirfd: number, name: string): void {
    setXattrAt(dirfd, name, `${this.namespace}metacopy`, Buffer.alloc(0));
  }

  /** The content has arrived: the object no longer stands for a lower one. */
  clearMetacopy(dirfd: number, name: string): void {
    for (const key of ['metacopy', 'redirect', 'scorpio.copying']) {
      for (const prefix of ['trusted.overlay.', 'user.overlay.']) {
        const attribute = prefix + key;
        if (getXattrAt(dirfd, name, attribute) !== undefined) removeXattrAt(dirfd, name, attribute);
      }
    }
  }

  /** Remembers what a copy of the content is about to change. */
  setCopying(dirfd: number, name: string, { mode, atime, mtime }: Preserved): void {
    const numbers = [mode, atime.seconds, atime.nanoseconds, mtime.seconds, mtime.nanoseconds];
    setXattrAt(dirfd, name, `${this.namespace}scorpio.copying`, Buffer.from(numbers.join(' ')));
  }

  /** Gives a file that was copied, or was being copied when the program was killed, its attributes back. */
  putBack(dirfd: number, name: string, { mode, atime, mtime }: Preserved): void {
    // Writing takes set-id bits away; but this was no write of a user's.
    if ((mode & SET_ID_BITS) !== 0) chmodAt(dirfd, name, mode);
    utimensAt(dirfd, name, atime, mtime);
  }

  /** Remembers where an object came from. Symlinks cannot carry `user.*`: theirs is forgotten. */
  setOrigin(dirfd: number, name: string, origin: Origin): void {
    try {
      setXattrAt(dirfd, name, `${this.namespace}scorpio`, Buffer.from(`${origin.ino} ${origin.id}`));
    } catch (error) {
      if (!(error instanceof ErrnoError && error.code === 'EPERM')) throw error;
    }
  }
}

function parsePreserved(value: string | undefined): Preserved | undefined {
  if (value === undefined || !/^\d{1,5}( -?\d{1,16} \d{1,9}){2}$/.test(value)) return undefined;
  const [mode, ...rest] = value.split(' ').map(Number) as [number, number, number, number, number];
  return {
    mode,
    atime: { seconds: rest[0], nanoseconds: rest[1] },
    mtime: { seconds: rest[2], nanoseconds: rest[3] },
  };
}

function parseOrigin(value: string | undefined): Origin | undefined {
  const match = value === undefined ? null : /^(\d{1,16}) ([0-9a-f]{40,64})$/.exec(value);
  if (match === null) return undefined;
  const ino = Number(match[1]);
  return isGivenIno(ino) ? { ino, id: match[2] as string } : undefined;
}
