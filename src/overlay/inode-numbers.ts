// Inode numbers that stay the same from one mount to the next.
//
// An object that the monorepo provides is numbered by its path there, below 2^51; one that was made here by its number
// in the upper layer, above. What was copied up keeps the number by path, in an attribute of the upper file.

const UPPER_BASE = 2 ** 51;
const ROOT_INO = 1;

/** The hash of a folder's path as far as its children share it, so that a child's number takes no path string. */
export interface PathSeed {
  readonly low: number;
  readonly high: number;
}

// Two independent 32-bit multiplicative hashes (FNV-1a and a variant), 51 bits of them used.
const START: PathSeed = { low: 0x811c9dc5 | 0, high: 0x9747b28c | 0 };

/** The seed for the children of the folder at a path of the lower layer (latin1, no leading slash; '' is the root). */
export function pathSeed(path: string): PathSeed {
  if (path === '') return START;
  let { low, high } = START;
  for (let index = 0; index <= path.length; index++) {
    const byte = index < path.length ? path.charCodeAt(index) : 0x2f;
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x5bd1e995);
    high ^= high >>> 15;
  }
  return { low, high };
}

/** Number of the object of the lower layer that has a name in the folder of the seed: `lowerIno` of its path. */
export function childIno(seed: PathSeed, name: string): number {
  let { low, high } = seed;
  for (let index = 0; index < name.length; index++) {
    const byte = name.charCodeAt(index);
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x5bd1e995);
    high ^= high >>> 15;
  }
  low ^= low >>> 16;
  const number = ((high >>> 0) % 0x80000) * 0x1_0000_0000 + (low >>> 0);
  return number > ROOT_INO ? number : number + 2;
}

/** Number of an object of the lower layer, by its path (latin1, no leading slash); the root is 1. */
export function lowerIno(path: string): number {
  return path === '' ? ROOT_INO : childIno(START, path);
}

/** Number of an object that only the upper layer has, by its inode number there. */
export function upperIno(ino: number): number {
  return UPPER_BASE + (ino % UPPER_BASE);
}

/** Whether a number that was read from the disk can be one that these functions gave. */
export function isGivenIno(ino: number): boolean {
  return Number.isInteger(ino) && ino >= ROOT_INO && ino < 2 * UPPER_BASE;
}
