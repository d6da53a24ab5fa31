// References to inodes: what of the filesystem is still in use, and so must not be forgotten.
import type { Filesystem } from '../filesystem.ts';

const ROOT_INO = 1;

interface References {
  /** References that the filesystem counts. */
  lookups: number;
  /** Who uses the inode here. */
  holders: number;
}

/** Counts who uses an inode; gives its references back to the filesystem when nobody does any more. */
export class InodeReferences {
  readonly #filesystem: Filesystem;
  readonly #inodes = new Map<number, References>();

  constructor(filesystem: Filesystem) {
    this.#filesystem = filesystem;
  }

  /** How many inodes are in use, the root not counted. */
  get size(): number {
    return this.#inodes.size;
  }

  /** Takes over the reference that comes with an entry; the caller becomes a holder. */
  take(ino: number): void {
    this.#use(ino, 1);
  }

  /** Adds a holder to an inode that has one already. */
  hold(ino: number): void {
    this.#use(ino, 0);
  }

  /** A holder leaves. */
  drop(ino: number): void {
    const found = this.#inodes.get(ino);
    if (found === undefined || --found.holders > 0) return;
    this.#inodes.delete(ino);
    if (found.lookups > 0) this.#filesystem.forget(ino, found.lookups);
  }

  #use(ino: number, lookups: number): void {
    // The root is there as long as the filesystem is.
    if (ino === ROOT_INO) {
      if (lookups > 0) this.#filesystem.forget(ino, lookups);
      return;
    }
    const found = this.#inodes.get(ino);
    if (found === undefined) {
      this.#inodes.set(ino, { lookups, holders: 1 });
      return;
    }
    found.lookups += lookups;
    found.holders++;
  }
}
