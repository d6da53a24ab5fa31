// Which way a file is opened: through the page cache, by passthrough, or without asking.
import type { KernelNotifier, Passthrough } from '../fuse/filesystem.ts';

/**
 * From this size on a file is worth a registration with the kernel, which costs about 10 us and saves a READ for each
 * readahead window. Bytes.
 */
export const LARGE_BYTES: number = 1024 * 1024;
/** A mount that may do without OPEN does so after so many opens of small files, */
const MANY_SMALL_OPENS = 1000;
/** unless one in so many opens is that of a large file. */
const RARELY_LARGE = 100;

/**
 * Counts what is opened, and decides. Asking the kernel to open files by itself cannot be taken back; and it excludes
 * passthrough, also for the files that are open: so where both are possible, a mount begins with opens, and gives them
 * up when it turns out to be used for many small files and no file is open by passthrough.
 */
export class OpenPolicy {
  readonly #kernel: KernelNotifier | undefined;
  #omits = false;
  #throughs = 0;
  #small = 0;
  #large = 0;

  constructor(kernel: KernelNotifier | undefined) {
    this.#kernel = kernel;
  }

  /** Whether the kernel opens and releases files without asking, from now on. */
  get omits(): boolean {
    return this.#omits;
  }

  /** Counts an open; returns whether it is to be refused with ENOSYS. */
  shallOmit(size: number | undefined): boolean {
    if (this.#omits) return true;
    if (this.#kernel?.mayOmitOpen !== true) return false;
    if (size !== undefined && size >= LARGE_BYTES) this.#large++;
    else this.#small++;
    if (this.#throughs > 0) return false;
    const isWanted =
      this.#kernel.passthrough === undefined ||
      (this.#small >= MANY_SMALL_OPENS && this.#small >= this.#large * RARELY_LARGE);
    this.#omits = isWanted;
    return isWanted;
  }

  /** The way to the kernel's passthrough, while there is one. */
  get passthrough(): Passthrough | undefined {
    return this.#omits ? undefined : this.#kernel?.passthrough;
  }

  /** A file was opened by passthrough (1), or such a file was released (-1). */
  countThrough(change: 1 | -1): void {
    this.#throughs += change;
  }
}
