// The entries of one folder of the in-memory reference, in an order that a listing can resume.
import type { MemoryNode } from './memory-node.ts';

/** A name, what it stands for, and its place in the order. */
export interface FolderEntry {
  readonly name: string;
  node: MemoryNode;
  /** Grows with each new name of the folder and is never used twice. */
  readonly place: number;
}

/** Places of `.` and `..`; names follow. */
const FIRST_PLACE = 3;

/** Names of a folder. A name keeps its place while it exists, whatever it stands for. */
export class FolderEntries {
  readonly #byName = new Map<string, FolderEntry>();
  /** Sorted by place. */
  readonly #inOrder: FolderEntry[] = [];
  #nextPlace = FIRST_PLACE;

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): MemoryNode | undefined {
    return this.#byName.get(name)?.node;
  }

  /** Adds a name, or changes what it stands for. */
  set(name: string, node: MemoryNode): void {
    const existing = this.#byName.get(name);
    if (existing !== undefined) {
      existing.node = node;
      return;
    }
    const entry = { name, node, place: this.#nextPlace++ };
    this.#byName.set(name, entry);
    this.#inOrder.push(entry);
  }

  delete(name: string): void {
    const entry = this.#byName.get(name);
    if (entry === undefined) return;
    this.#byName.delete(name);
    this.#inOrder.splice(this.#indexAfter(entry.place - 1), 1);
  }

  /** The first entry whose place is beyond `place`. */
  after(place: number): FolderEntry | undefined {
    return this.#inOrder[this.#indexAfter(place)];
  }

  #indexAfter(place: number): number {
    let low = 0;
    let high = this.#inOrder.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#inOrder[middle] as FolderEntry).place > place) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
