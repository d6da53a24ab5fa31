// Which inode a path leads to, for the paths that were used last.
import type { InodeReferences } from './inode-references.ts';

interface Known {
  readonly ino: number;
  readonly isFolder: boolean;
}

/** A bounded map from path to inode. Each entry holds its inode. */
export class PathCache {
  readonly #references: InodeReferences;
  readonly #capacity: number;
  // A Map iterates in insertion order: what is used is inserted anew, so the first key is the oldest.
  readonly #inodes = new Map<string, Known>();
  #generation = 0;

  constructor(references: InodeReferences, capacity: number) {
    this.#references = references;
    this.#capacity = capacity;
  }

  /** Changes whenever a path may have stopped to lead where it did: what was found out before is not to be put then. */
  get generation(): number {
    return this.#generation;
  }

  /** The inode of a path, which counts as a use; the caller becomes a holder of it too. */
  take(path: string): number | undefined {
    const known = this.#inodes.get(path);
    if (known === undefined) return undefined;
    this.#inodes.delete(path);
    this.#inodes.set(path, known);
    this.#references.hold(known.ino);
    return known.ino;
  }

  /** Keeps a path whose inode the caller holds. */
  put(path: string, ino: number, isFolder: boolean): void {
    this.#references.hold(ino);
    this.#remove(path);
    this.#inodes.set(path, { ino, isFolder });
    for (const oldest of this.#inodes.keys()) {
      if (this.#inodes.size <= this.#capacity) break;
      this.#remove(oldest);
    }
  }

  /** A name went away, and nothing was below it any more. */
  delete(path: string): void {
    this.#generation++;
    this.#remove(path);
  }

  /** A name leads elsewhere now, with all that is below it. */
  deleteTree(path: string): void {
    const isFile = this.#inodes.get(path)?.isFolder === false;
    this.delete(path);
    if (isFile) return;
    const below = `${path}/`;
    for (const other of this.#inodes.keys()) if (other.startsWith(below)) this.#remove(other);
  }

  /** Forgets everything. */
  clear(): void {
    this.#generation++;
    for (const path of this.#inodes.keys()) this.#remove(path);
  }

  #remove(path: string): void {
    const known = this.#inodes.get(path);
    if (known === undefined) return;
    this.#inodes.delete(path);
    this.#references.drop(known.ino);
  }
}
