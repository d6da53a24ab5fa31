// The content of a regular file of the in-memory reference: blocks that were written, holes between them.
import { ErrnoError } from '../../../src/util/errno.ts';

const BLOCK_BYTES = 4096;

/** Bytes with holes. Offsets and sizes are in bytes. */
export class SparseContent {
  #size = 0;
  readonly #blocks = new Map<number, Buffer>();

  get size(): number {
    return this.#size;
  }

  /** Allocated space in units of 512 bytes. */
  get sectors(): number {
    return (this.#blocks.size * BLOCK_BYTES) / 512;
  }

  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.#size - position));
    for (let done = 0; done < length;) {
      const offset = (position + done) % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - offset, length - done);
      const block = this.#blocks.get(Math.floor((position + done) / BLOCK_BYTES));
      if (block === undefined) target.fill(0, done, done + count);
      else target.set(block.subarray(offset, offset + count), done);
      done += count;
    }
    return length;
  }

  write(data: Uint8Array, position: number): void {
    for (let done = 0; done < data.length;) {
      const offset = (position + done) % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - offset, data.length - done);
      const index = Math.floor((position + done) / BLOCK_BYTES);
      this.#allocate(index).set(data.subarray(done, done + count), offset);
      done += count;
    }
    if (data.length > 0) this.#size = Math.max(this.#size, position + data.length);
  }

  truncate(size: number): void {
    if (size < this.#size) this.punch(size, this.#size - size);
    this.#size = size;
  }

  /** Allocates a range; the size grows to hold it unless `keepSize`. */
  allocate(offset: number, length: number, keepSize: boolean): void {
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    for (let index = Math.floor(offset / BLOCK_BYTES); index <= last; index++) this.#allocate(index);
    if (!keepSize) this.#size = Math.max(this.#size, offset + length);
  }

  /** Makes a range read as zeros and frees the whole blocks in it. */
  punch(offset: number, length: number): void {
    const end = offset + length;
    for (const [index, block] of this.#blocks) {
      const start = index * BLOCK_BYTES;
      if (start >= end || start + BLOCK_BYTES <= offset) continue;
      if (start >= offset && start + BLOCK_BYTES <= end) this.#blocks.delete(index);
      else block.fill(0, Math.max(0, offset - start), Math.min(BLOCK_BYTES, end - start));
    }
  }

  /** First offset at or after `offset` that holds data, or lies in a hole (the end counts as one). */
  seek(offset: number, kind: 'data' | 'hole'): number {
    if (offset < 0 || offset >= this.#size) throw new ErrnoError('ENXIO');
    for (let at = offset; at < this.#size; at = (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES) {
      if (this.#blocks.has(Math.floor(at / BLOCK_BYTES)) === (kind === 'data')) return at;
    }
    if (kind === 'data') throw new ErrnoError('ENXIO');
    return this.#size;
  }

  #allocate(index: number): Buffer {
    let block = this.#blocks.get(index);
    if (block === undefined) this.#blocks.set(index, (block = Buffer.alloc(BLOCK_BYTES)));
    return block;
  }
}
