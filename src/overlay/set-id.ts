// Set-id bits, which a change of the content by somebody without privilege takes away.
import { constants } from 'node:fs';
import { chmodAt } from '../util/syscall.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const { S_IXGRP } = constants;

/** Clears the set-user-id bit of a file in the upper layer, and the set-group-id bit of what its group may execute. */
export function clearSetId(core: OverlayCore, inode: Inode): void {
  if (inode.isPlain) return;
  const { mode } = core.stat(inode);
  const kept = mode & ~(S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID));
  if (kept !== mode) {
    const { dirfd, name } = core.upper.place(inode);
    chmodAt(dirfd, name, kept & 0o7777);
    // The kernel counts on the bits' going, but keeps the attributes that it has.
    core.notifier?.invalidateInode(inode.ino, -1, 0);
  }
  inode.isPlain = true;
}
