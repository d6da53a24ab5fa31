// Whiteouts in the style of container images (OCI, AUFS): empty files named `.wh.NAME`, and `.wh..wh..opq` for all names.
//
// They are read in upper folders that other programs filled, and never written. A file that a user gives such a name
// carries a mark, so that it stays a file, and hides nothing, when the folder is read again.
import { constants } from 'node:fs';
import { ErrnoError } from '../util/errno.ts';
import { chmodAt, listXattrAt, setXattrAt, type Stat, statAt, statIfPresent } from '../util/syscall.ts';
import type { OverlayNamespace } from './overlay-format.ts';

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
const NAME_MAX = 255;
/** A copied-up file has the one, and a new one the other. */
const MARKS = ['scorpio', 'scorpio.name'];

/** Whether an object of this name could be such a whiteout. */
export function isOciName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The name that a whiteout hides; undefined: all of them. */
export function hiddenByOci(name: string): string | undefined {
  return name === OPAQUE ? undefined : name.slice(PREFIX.length);
}

/** Whether the upper object under a name of that kind is a whiteout, not a user's file. */
export function isOciWhiteout(dirfd: number, name: string, stat: Stat): boolean {
  if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG || stat.size > 0) return false;
  const attributes = listXattrAt(dirfd, name);
  return !MARKS.some(
    (mark) => attributes.includes(`trusted.overlay.${mark}`) || attributes.includes(`user.overlay.${mark}`),
  );
}

function hasWhiteout(dirfd: number, name: string): boolean {
  const stat = statIfPresent(dirfd, name);
  return stat !== undefined && isOciWhiteout(dirfd, name, stat);
}

/** Whether a whiteout of that kind hides a name from below. */
export function isHiddenByOci(dirfd: number, name: string): boolean {
  return name.length <= NAME_MAX - PREFIX.length && hasWhiteout(dirfd, PREFIX + name);
}

/** Whether the upper folder under a name (an empty one: `dirfd` itself) hides everything below it. */
export function isOpaqueByOci(dirfd: number, name: string): boolean {
  return hasWhiteout(dirfd, name === '' ? OPAQUE : `${name}/${OPAQUE}`);
}

/** Marks a file that is about to get a name of that kind. Other objects are no whiteouts anyway. */
export function markAsFile(dirfd: number, name: string, namespace: OverlayNamespace): void {
  const { mode } = statAt(dirfd, name);
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) return;
  const mark = (): void => setXattrAt(dirfd, name, `${namespace}scorpio.name`, Buffer.from('y'));
  try {
    mark();
  } catch (error) {
    if (!(error instanceof ErrnoError && error.code === 'EACCES')) throw error;
    // An ordinary user may set attributes of files that are writable alone.
    chmodAt(dirfd, name, (mode & 0o7777) | 0o200);
    try {
      mark();
    } finally {
      chmodAt(dirfd, name, mode & 0o7777);
    }
  }
}
