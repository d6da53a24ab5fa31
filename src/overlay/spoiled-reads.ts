// Open files of which wrong bytes were read: a program that has them must not go on with right ones, and end well.
import { ErrnoError } from '../util/errno.ts';

/** Where the kernel opens files without asking, nobody knows who has read what: reads fail for so long. Milliseconds. */
const UNKNOWN_READERS_MS = 3000;

/** Those of one overlay. */
export class SpoiledReads {
  /** Handles that were open. */
  readonly #handles = new Set<number>();
  /** When reads without a handle may go on, by inode; milliseconds since 1970. */
  readonly #until = new Map<number, number>();

  /** What was read of an inode is wrong; these handles of it are open. */
  spoil(ino: number, handles: Iterable<number>): void {
    for (const fh of handles) this.#handles.add(fh);
    this.#until.set(ino, Date.now() + UNKNOWN_READERS_MS);
  }

  /** Throws EIO for an open file that was spoiled; `fh` 0: none is known. */
  check(ino: number, fh: number): void {
    if (this.#until.size === 0) return;
    if (fh === 0 ? (this.#until.get(ino) ?? 0) > Date.now() : this.#handles.has(fh)) {
      throw new ErrnoError('EIO', 'bytes that were read of the file turned out to be wrong: open it again');
    }
    if (this.#handles.size > 0) return;
    for (const [each, until] of this.#until) if (until <= Date.now()) this.#until.delete(each);
  }

  /** A handle was released. */
  released(fh: number): void {
    if (this.#handles.size > 0) this.#handles.delete(fh);
  }
}
