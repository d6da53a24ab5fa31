// Attributes as the package takes them: arrays of 32-bit numbers, larger ones in two parts, low first.
import type { Attributes, FilesystemStatistics } from '../filesystem.ts';
import type { ListedName } from './path-filesystem.ts';

const STAT_NUMBERS = 18;
const STATFS_NUMBERS = 11;
const TWO_POW_32 = 2 ** 32;
/** Places in the array of a `struct stat`. */
const MODE = 0;
const INO = 7;

/**
 * An inode number in the 32 bits that there is room for. The same number always becomes the same; two may become one.
 */
export function foldInode(ino: number): number {
  if (ino < TWO_POW_32) return ino;
  const folded = ((ino % TWO_POW_32) ^ Math.imul(Math.floor(ino / TWO_POW_32), 0x9e3779b1)) >>> 0;
  return folded > 1 ? folded : folded + 2;
}

/** Encodes attributes. Times are cut to ms, and those before 1970 to 1970: there is no room for them. */
export function encodeStat(attributes: Attributes): Uint32Array {
  const numbers = new Uint32Array(STAT_NUMBERS);
  const set64 = (at: number, value: number): void => {
    numbers[at] = value % TWO_POW_32;
    numbers[at + 1] = Math.floor(value / TWO_POW_32);
  };
  numbers[MODE] = attributes.mode;
  numbers[1] = attributes.uid;
  numbers[2] = attributes.gid;
  set64(3, attributes.size);
  // 5 is the device, which the kernel knows better.
  numbers[6] = attributes.nlink;
  numbers[INO] = foldInode(attributes.ino);
  numbers[8] = attributes.rdev;
  numbers[9] = attributes.blksize;
  set64(10, attributes.blocks);
  set64(12, toMs(attributes.atime, attributes.atimeNsec));
  set64(14, toMs(attributes.mtime, attributes.mtimeNsec));
  set64(16, toMs(attributes.ctime, attributes.ctimeNsec));
  return numbers;
}

/** What a listing says of an entry: type and inode number. */
export function encodeListed({ ino, type }: ListedName): Uint32Array {
  const numbers = new Uint32Array(STAT_NUMBERS);
  numbers[MODE] = type;
  numbers[INO] = foldInode(ino);
  return numbers;
}

/** Encodes numbers of a filesystem; in larger blocks where there are too many for 32 bits. */
export function encodeStatfs(statistics: FilesystemStatistics): Uint32Array {
  const numbers = new Uint32Array(STATFS_NUMBERS);
  let scale = 1;
  while (statistics.blocks / scale >= TWO_POW_32) scale *= 2;
  const blocks = (count: number): number => Math.floor(count / scale);
  const files = (count: number): number => Math.min(count, TWO_POW_32 - 1);
  numbers[0] = statistics.blockSize * scale;
  numbers[1] = statistics.blockSize * scale;
  numbers[2] = blocks(statistics.blocks);
  numbers[3] = blocks(statistics.blocksFree);
  numbers[4] = blocks(statistics.blocksAvailable);
  numbers[5] = files(statistics.files);
  numbers[6] = files(statistics.filesFree);
  numbers[7] = files(statistics.filesFree);
  // 8 and 9, the filesystem's id and flags, are the kernel's.
  numbers[10] = statistics.nameMax;
  return numbers;
}

function toMs(seconds: number, nanoseconds: number): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}
