// Handles for open files: the package keeps 31 bits of a handle, and 0 means none.

/** An open file of the filesystem. */
export interface OpenFile {
  readonly ino: number;
  readonly fh: number;
}

/** Gives small numbers to open files; a number is given again after its file was closed. */
export class OpenFiles {
  readonly #files: (OpenFile | undefined)[] = [undefined];
  readonly #free: number[] = [];

  /** How many files are open. */
  get size(): number {
    return this.#files.length - 1 - this.#free.length;
  }

  /** Keeps a file; returns its handle, at least 1. */
  add(file: OpenFile): number {
    const handle = this.#free.pop() ?? this.#files.length;
    this.#files[handle] = file;
    return handle;
  }

  /** The file of a handle, undefined where there is none. */
  get(handle: number): OpenFile | undefined {
    return this.#files[handle];
  }

  /** Ends a handle and returns its file. */
  remove(handle: number): OpenFile | undefined {
    const file = this.#files[handle];
    if (file === undefined) return undefined;
    this.#files[handle] = undefined;
    this.#free.push(handle);
    return file;
  }

  /** Whether a handle of an inode is there. */
  isOpen(ino: number): boolean {
    return this.#files.some((file) => file?.ino === ino);
  }

  /** Handles of all open files. */
  handles(): number[] {
    return this.#files.flatMap((file, handle) => (file === undefined ? [] : [handle]));
  }
}
