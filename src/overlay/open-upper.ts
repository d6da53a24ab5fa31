// Opening files of the upper layer.
import { constants } from 'node:fs';
import { ErrnoError } from '../util/errno.ts';
import { chmodAt, openAt, statAt } from '../util/syscall.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import type { UpperPlace } from './upper.ts';

/**
 * A descriptor of an upper file. Who may open it was asked by the kernel, of the caller; a mode that does not let this
 * process open its own file (a program may go on writing through what it opened before) is set aside for a moment.
 */
export function openUpper(core: OverlayCore, inode: Inode, flags: number): number {
  const place = core.upper.place(inode);
  try {
    return openPlace(place, flags);
  } catch (error) {
    if (!(error instanceof ErrnoError) || error.code !== 'EACCES') throw error;
    const { mode } = statAt(place.dirfd, place.name);
    chmodAt(place.dirfd, place.name, (mode & 0o7777) | 0o600);
    try {
      return openPlace(place, flags);
    } finally {
      chmodAt(place.dirfd, place.name, mode & 0o7777);
    }
  }
}

function openPlace({ dirfd, name }: UpperPlace, flags: number): number {
  if (name === '') return openAt(-1, `/proc/self/fd/${dirfd}`, flags);
  return openAt(dirfd, name, flags | constants.O_NOFOLLOW);
}
