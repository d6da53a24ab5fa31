// Files of the lower layer that only the kernel refers to: four numbers for each, and no object.

/** Slots of an empty table; always a power of two. */
const MIN_SLOTS = 1024;
const BYTES_PER_SLOT = 20;
const FREE = 0;
const HASH_FACTOR = 0x9e3779b1;

/**
 * A hash table from inode numbers to where the file is (number of its folder, index in the folder's listing) and to how
 * many references the kernel holds. A slot's number is valid until the table changes.
 *
 * Open addressing with linear probing in typed arrays: 27 to 53 bytes for a file, where an object in two Maps takes
 * several hundred; nothing here is work for the garbage collector.
 */
export class KnownFiles {
  #inos = new Float64Array(MIN_SLOTS);
  #folders = new Int32Array(MIN_SLOTS);
  #indexes = new Int32Array(MIN_SLOTS);
  #references = new Uint32Array(MIN_SLOTS);
  #mask: number = MIN_SLOTS - 1;
  #size = 0;

  /** Number of files. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get byteLength(): number {
    return this.#inos.length * BYTES_PER_SLOT;
  }

  /** Slot of an inode number, or -1. */
  find(ino: number): number {
    const slot = this.#slotOf(ino);
    return this.#inos[slot] === FREE ? -1 : slot;
  }

  folderAt(slot: number): number {
    return this.#folders[slot] as number;
  }

  indexAt(slot: number): number {
    return this.#indexes[slot] as number;
  }

  referencesAt(slot: number): number {
    return this.#references[slot] as number;
  }

  /** Adds a file, whose number must not be there yet. */
  add(ino: number, folder: number, index: number, references: number): void {
    if ((this.#size + 1) * 4 > this.#inos.length * 3) this.#resize(this.#inos.length * 2);
    this.#put(ino, folder, index, references);
    this.#size++;
  }

  /** Counts one more reference. */
  refer(slot: number): void {
    this.#references[slot] = (this.#references[slot] as number) + 1;
  }

  /** Takes references away; returns how many are left. The file stays, also without any. */
  release(slot: number, count: number): number {
    const left = Math.max(0, (this.#references[slot] as number) - count);
    this.#references[slot] = left;
    return left;
  }

  /** Removes a file. */
  remove(slot: number): void {
    const mask = this.#mask;
    let hole = slot;
    // What stands after the gap and was pushed there by its neighbours moves up, so that searches need no tombstones.
    for (let at = (slot + 1) & mask; this.#inos[at] !== FREE; at = (at + 1) & mask) {
      const home = this.#homeOf(this.#inos[at] as number);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#inos[hole] = this.#inos[at] as number;
      this.#folders[hole] = this.#folders[at] as number;
      this.#indexes[hole] = this.#indexes[at] as number;
      this.#references[hole] = this.#references[at] as number;
      hole = at;
    }
    this.#inos[hole] = FREE;
    this.#size--;
    if (this.#inos.length > MIN_SLOTS && this.#size * 8 < this.#inos.length) {
      this.#resize(this.#inos.length / 4);
    }
  }

  /** Inode numbers of the files in those folders whose mark (by number of the folder) is not 0. */
  inFolders(marks: Uint8Array): number[] {
    const found: number[] = [];
    for (let slot = 0; slot < this.#inos.length; slot++) {
      const ino = this.#inos[slot] as number;
      if (ino !== FREE && marks[this.#folders[slot] as number] !== 0) found.push(ino);
    }
    return found;
  }

  #homeOf(ino: number): number {
    const hash = Math.imul(ino | 0, HASH_FACTOR);
    return (hash ^ (hash >>> 15)) & this.#mask;
  }

  /** The slot that holds the number, or the free one where it belongs. */
  #slotOf(ino: number): number {
    let slot = this.#homeOf(ino);
    for (;;) {
      const present = this.#inos[slot] as number;
      if (present === ino || present === FREE) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #put(ino: number, folder: number, index: number, references: number): void {
    const slot = this.#slotOf(ino);
    this.#inos[slot] = ino;
    this.#folders[slot] = folder;
    this.#indexes[slot] = index;
    this.#references[slot] = references;
  }

  #resize(slots: number): void {
    const inos = this.#inos;
    const folders = this.#folders;
    const indexes = this.#indexes;
    const references = this.#references;
    const length = Math.max(MIN_SLOTS, slots);
    this.#inos = new Float64Array(length);
    this.#folders = new Int32Array(length);
    this.#indexes = new Int32Array(length);
    this.#references = new Uint32Array(length);
    this.#mask = length - 1;
    for (let slot = 0; slot < inos.length; slot++) {
      const ino = inos[slot] as number;
      if (ino === FREE) continue;
      this.#put(ino, folders[slot] as number, indexes[slot] as number, references[slot] as number);
    }
  }
}
