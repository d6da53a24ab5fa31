// Finds names in the payload of a tree: a hash table of entry numbers, four bytes for each slot.

import { randomInt } from 'node:crypto';

const EMPTY = 0;
const MIN_SLOTS = 4;
// Differs between processes, so that nobody can write a tree whose names all fall into one slot.
const FNV_OFFSET = 0x811c9dc5 ^ randomInt(2 ** 32);
const FNV_PRIME = 0x01000193;

/**
 * Names of a folder's entries, without a string for each. A Map of strings takes some hundred bytes for an entry, this
 * takes eight; and trees may be unsorted (some servers store them so), which rules a binary search out.
 */
export class NameIndex {
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array;
  readonly #lengths: Uint8Array;
  /** Entry number plus one, or EMPTY; open addressing, at most half full. */
  readonly #slots: Uint32Array;

  /** Entry N is named by the bytes at `starts[N]`, `lengths[N]` of them. Nothing is indexed yet. */
  constructor(bytes: Buffer, starts: Uint32Array, lengths: Uint8Array, capacity: number) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#lengths = lengths;
    this.#slots = new Uint32Array(slotsFor(capacity));
  }

  /** Bytes of memory. */
  get byteLength(): number {
    return this.#slots.byteLength;
  }

  /** Indexes an entry, unless another of the same name is: then it returns false. */
  add(entry: number, name: string): boolean {
    const slot = this.#slotOf(name);
    if (this.#slots[slot] !== EMPTY) return false;
    this.#slots[slot] = entry + 1;
    return true;
  }

  /** Number of the entry of a name (latin1), or -1. */
  find(name: string): number {
    return (this.#slots[this.#slotOf(name)] ?? EMPTY) - 1;
  }

  /** The slot that holds the name, or the empty one where it belongs. */
  #slotOf(name: string): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hash = FNV_OFFSET;
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), FNV_PRIME);
    // FNV's low bits are weak for names that differ at the end only.
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const entry = (slots[slot] ?? EMPTY) - 1;
      if (entry < 0 || this.#isNamed(entry, name)) return slot;
    }
  }

  #isNamed(entry: number, name: string): boolean {
    if (this.#lengths[entry] !== name.length) return false;
    const start = this.#starts[entry] ?? 0;
    const bytes = this.#bytes;
    for (let at = 0; at < name.length; at++) {
      if (bytes[start + at] !== name.charCodeAt(at)) return false;
    }
    return true;
  }
}

function slotsFor(capacity: number): number {
  let slots = MIN_SLOTS;
  while (slots < capacity * 2) slots *= 2;
  return slots;
}
