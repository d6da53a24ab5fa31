// Open files of the in-memory reference.
import { constants } from 'node:fs';
import { ErrnoError } from '../../../src/util/errno.ts';
import type { MemoryNode } from './memory-node.ts';

/** An open file. */
export interface OpenFile {
  readonly node: MemoryNode;
  readonly append: boolean;
}

/** Handles of open files. */
export class OpenFiles {
  readonly #files = new Map<number, OpenFile>();
  #nextHandle = 1;

  get size(): number {
    return this.#files.size;
  }

  open(node: MemoryNode, flags: number): number {
    node.openFiles++;
    const fh = this.#nextHandle++;
    this.#files.set(fh, { node, append: (flags & constants.O_APPEND) !== 0 });
    return fh;
  }

  /** Throws EBADF. */
  get(fh: number): OpenFile {
    const file = this.#files.get(fh);
    if (file === undefined) throw new ErrnoError('EBADF');
    return file;
  }

  close(fh: number): MemoryNode {
    const { node } = this.get(fh);
    this.#files.delete(fh);
    node.openFiles--;
    return node;
  }
}
