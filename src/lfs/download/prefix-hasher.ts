// Hashes a file while its parts arrive in any order: what comes in order at once, the rest from the disk.
import { createHash } from 'node:crypto';
import { HASH_SLICE_BYTES, readAt } from './hash-file.ts';
import type { RangeMap } from './range-map.ts';

/** SHA-256 of what is there from the first byte on. */
export class PrefixHasher {
  readonly #fd: number;
  readonly #ranges: RangeMap;
  readonly #hash = createHash('sha256');
  #at = 0;
  #catchingUp: Promise<void> | undefined;
  #isStopped = false;

  /** `ranges` are the parts that can be read from `fd`; it may grow, and not shrink. */
  constructor(fd: number, ranges: RangeMap) {
    this.#fd = fd;
    this.#ranges = ranges;
  }

  /** How far it is. */
  get position(): number {
    return this.#at;
  }

  /** Takes bytes that are being written to the file, if they are the next ones. */
  feed(position: number, bytes: Uint8Array): void {
    if (position !== this.#at || this.#catchingUp !== undefined || this.#isStopped) return;
    this.#hash.update(bytes);
    this.#at += bytes.length;
  }

  /** Reads what is there and was not fed. Resolves when nothing more is there. Rejects with Node's errors. */
  catchUp(): Promise<void> {
    this.#catchingUp ??= this.#readOn().finally(() => {
      this.#catchingUp = undefined;
    });
    return this.#catchingUp;
  }

  /** Stops reading; resolves when the descriptor is not used any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#catchingUp?.catch(() => undefined);
  }

  /** The hash as an oid; nothing can be added any more. */
  digest(): string {
    this.#isStopped = true;
    return this.#hash.digest('hex');
  }

  async #readOn(): Promise<void> {
    let slice: Buffer | undefined;
    while (!this.#isStopped) {
      const wanted = Math.min(HASH_SLICE_BYTES, this.#ranges.endOf(this.#at) - this.#at);
      if (wanted <= 0) return;
      slice ??= Buffer.allocUnsafe(HASH_SLICE_BYTES);
      const { bytesRead } = await readAt(this.#fd, slice, 0, wanted, this.#at);
      // Somebody cut the file: what is left does not hash to anything that is wanted.
      if (bytesRead === 0) return;
      this.#hash.update(slice.subarray(0, bytesRead));
      this.#at += bytesRead;
    }
  }
}
