// Removed files that are open, by the paths that libfuse made up for them.
import type { InodeReferences } from './inode-references.ts';

/** Holds the inodes of removed files until libfuse removes their made-up names, or nobody has them open any more. */
export class HiddenFiles {
  readonly #references: InodeReferences;
  readonly #inodes = new Map<string, number>();
  /** Those whose folder is gone: libfuse knows no path of them, and will not ask for their removal. */
  readonly #pathless = new Set<number>();

  constructor(references: InodeReferences) {
    this.#references = references;
  }

  get size(): number {
    return this.#inodes.size + this.#pathless.size;
  }

  /** The inode of a made-up path. */
  find(path: string): number | undefined {
    return this.#inodes.get(path);
  }

  /** Takes over the caller's hold of the inode. */
  add(path: string, ino: number): void {
    this.#inodes.set(path, ino);
  }

  /** Returns whether there was one. */
  remove(path: string): boolean {
    const ino = this.#inodes.get(path);
    if (ino === undefined) return false;
    this.#inodes.delete(path);
    this.#references.drop(ino);
    return true;
  }

  /** A folder was renamed, and replaced what had the new path. */
  moveFolder(from: string, to: string): void {
    this.removeFolder(to);
    for (const [path, ino] of this.#below(from)) {
      this.#inodes.delete(path);
      this.#inodes.set(to + path.slice(from.length), ino);
    }
  }

  /** A folder was removed. */
  removeFolder(folder: string): void {
    for (const [path, ino] of this.#below(folder)) {
      this.#inodes.delete(path);
      // It may be there already, by another of its names.
      if (this.#pathless.has(ino)) this.#references.drop(ino);
      else this.#pathless.add(ino);
    }
  }

  /** An inode was closed; `isOpen` tells whether it still is by another handle. */
  closed(ino: number, isOpen: (ino: number) => boolean): void {
    if (!this.#pathless.has(ino) || isOpen(ino)) return;
    this.#pathless.delete(ino);
    this.#references.drop(ino);
  }

  clear(): void {
    for (const ino of [...this.#inodes.values(), ...this.#pathless]) this.#references.drop(ino);
    this.#inodes.clear();
    this.#pathless.clear();
  }

  #below(folder: string): [path: string, ino: number][] {
    return [...this.#inodes].filter(([path]) => path.startsWith(`${folder}/`));
  }
}
