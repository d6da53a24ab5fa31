// A tree together with the sizes of its blobs, and those sizes in packed form: as servers send and stores keep them.
import { kindOfMode, parseRawTree } from './raw-tree.ts';
import type { RawTreeEntry } from './raw-tree.ts';

/** A tree's payload, and what is known of the sizes of its blobs. */
export interface SizedTree {
  /** Byte for byte as the tree's id hashes it. */
  readonly payload: Buffer;
  /** Packed sizes (see packSizes); undefined where nobody told them. */
  readonly sizes: Buffer | undefined;
}

/** What stands for a size that is not known, in unpacked sizes. */
export const UNKNOWN_SIZE = -1;

const VARINT_BYTES_MAX = 8;
const LOW_BITS = 0x7f;
const MORE = 0x80;

/** Whether an entry has a size: whatever is neither a folder nor a submodule. */
export function isBlobEntry({ mode }: Pick<RawTreeEntry, 'mode'>): boolean {
  const kind = kindOfMode(mode);
  return kind !== 'directory' && kind !== 'submodule';
}

/** How many entries of a tree have a size. Throws MalformedTreeError. */
export function countBlobs(payload: Uint8Array): number {
  let count = 0;
  for (const entry of parseRawTree(payload)) if (isBlobEntry(entry)) count++;
  return count;
}

/**
 * Packs the sizes in bytes of a tree's blobs, in stored order. Each is one more than the size, or 0 where it is not
 * known, as a little-endian base 128 number: two bytes for most files.
 */
export function packSizes(sizes: readonly (number | undefined)[]): Buffer {
  const packed = Buffer.allocUnsafe(sizes.length * VARINT_BYTES_MAX);
  let at = 0;
  for (const size of sizes) {
    // Division instead of shifts: sizes may be above 32 bits.
    let rest = size === undefined || size < 0 ? 0 : size + 1;
    for (; rest > LOW_BITS; rest = Math.floor(rest / MORE)) packed[at++] = (rest % MORE) + MORE;
    packed[at++] = rest;
  }
  return Buffer.from(packed.subarray(0, at));
}

/** Undoes packSizes for `count` blobs; UNKNOWN_SIZE where it is not known. Undefined when it is not packed sizes. */
export function unpackSizes(packed: Uint8Array, count: number): Float64Array | undefined {
  const sizes = new Float64Array(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    let value = 0;
    let scale = 1;
    for (let length = 0; ; length++) {
      const byte = packed[at++];
      if (byte === undefined || length >= VARINT_BYTES_MAX) return undefined;
      value += (byte & LOW_BITS) * scale;
      if (byte < MORE) break;
      scale *= MORE;
    }
    if (value > Number.MAX_SAFE_INTEGER) return undefined;
    sizes[index] = value - 1;
  }
  return at === packed.length ? sizes : undefined;
}
