// The start of an open file, read whole although one call may bring less.
import { readSync } from 'node:fs';

/** Fills the buffer with the start of a file; the part that has been filled, which is shorter where the file is. */
export function readStart(fd: number, buffer: Buffer): Buffer {
  let filled = 0;
  while (filled < buffer.length) {
    const count = readSync(fd, buffer, filled, buffer.length - filled, filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
