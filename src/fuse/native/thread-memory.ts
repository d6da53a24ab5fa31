// The one thing that is read from a libfuse thread's memory: the second time of utimens(2).
//
// Version 2.2.6 passes the access time twice, and the modification time not at all. Both lie side by side in the memory
// that comes with each call, so the second is found where the first is.
import type { ThreadMemory } from './package.ts';

/** Where the access time can lie: on Linux and macOS with 64-bit pointers. */
const ATIME_OFFSETS = process.platform === 'darwin' ? [96] : [104];
const TIME_BYTES = 8;

/** A 64-bit number of ms in two parts, signed: negative before 1970. */
export function joinMs(low: number, high: number): number {
  return (high | 0) * 2 ** 32 + low;
}

/** The modification time in ms that belongs to an access time; undefined where it is not found. */
export function findModificationTime(
  thread: ThreadMemory,
  atimeLow: number,
  atimeHigh: number,
): number | undefined {
  const at = ATIME_OFFSETS.find(
    (offset) =>
      offset + 2 * TIME_BYTES <= thread.length &&
      thread.readUInt32LE(offset) === atimeLow &&
      thread.readUInt32LE(offset + 4) === atimeHigh,
  );
  if (at === undefined) return undefined;
  return joinMs(thread.readUInt32LE(at + TIME_BYTES), thread.readUInt32LE(at + TIME_BYTES + 4));
}
