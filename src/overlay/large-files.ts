// Which files pay for being handed to the kernel.
import { constants, fstatSync } from 'node:fs';
import type { LayerEntry } from '../layers/layer.ts';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import { LARGE_BYTES } from './open-policy.ts';

const O_ACCMODE = 3;
const SET_ID_BITS = 0o6000;

/** Whether a file is opened with these flags to be written to. */
export const isWriting = (flags: number): boolean => (flags & O_ACCMODE) !== constants.O_RDONLY;

/** Size of a file's content, where that is known at once and the content is the lower layer's. */
export function sizeOf(core: OverlayCore, inode: Inode): number | undefined {
  if (
    inode.content !== undefined &&
    inode.content.version === inode.version &&
    inode.upper &&
    !inode.isMetacopy
  ) {
    return fstatSync(inode.content.fd).size;
  }
  return inode.lower === undefined ? undefined : core.layer.knownSize(inode.lower);
}

/** Whether a file that nobody has open pays for its registration with the kernel. */
export function isWorthPassing(core: OverlayCore, inode: Inode, flags: number): boolean {
  if (!inode.upper || inode.isMetacopy) {
    return !isWriting(flags) && (core.layer.knownSize(inode.lower as LayerEntry) ?? 0) >= LARGE_BYTES;
  }
  const { size, mode } = core.stat(inode);
  // Nobody would hear of what is written.
  if (isWriting(flags) && core.changes.isWatchedFile(inode)) return false;
  // The kernel would write with the rights of this process, which keep set-id bits.
  if (isWriting(flags) && (mode & SET_ID_BITS) !== 0) return false;
  return size >= LARGE_BYTES;
}
