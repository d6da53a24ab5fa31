// One reply to the kernel: a reused buffer with the writers of its fields.
import { MAX_WRITE_BYTES, REPLY_HEADER_BYTES, TWO_POW_32 } from '../protocol.ts';

/** A buffer for one reply. All positions (`at`) are bytes from the start of the body. */
export class Reply {
  /** What is written to the device: the header, then the body. */
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(REPLY_HEADER_BYTES + MAX_WRITE_BYTES);
  readonly #words = new Uint32Array(this.buffer.buffer);

  /** Writes the header; returns the length of the whole reply. */
  seal(uniqueLow: number, uniqueHigh: number, bodyLength: number, errno = 0): number {
    const words = this.#words;
    const length = REPLY_HEADER_BYTES + bodyLength;
    words[0] = length;
    words[1] = -errno;
    words[2] = uniqueLow;
    words[3] = uniqueHigh;
    return length;
  }

  /** A 32-bit field; larger numbers are cut to their low half. */
  u32(at: number, value: number): void {
    this.#words[(REPLY_HEADER_BYTES + at) >> 2] = value;
  }

  /** A 64-bit field, signed or not. */
  u64(at: number, value: number): void {
    const word = (REPLY_HEADER_BYTES + at) >> 2;
    this.#words[word] = value;
    this.#words[word + 1] = Math.floor(value / TWO_POW_32);
  }

  /** Reads a 64-bit field back. */
  readU64(at: number): number {
    const word = (REPLY_HEADER_BYTES + at) >> 2;
    return this.#words[word]! + this.#words[word + 1]! * TWO_POW_32;
  }

  /** Reads a 32-bit field back. */
  readU32(at: number): number {
    return this.#words[(REPLY_HEADER_BYTES + at) >> 2]!;
  }

  /** Fills `length` bytes with zeros. */
  zero(at: number, length: number): void {
    const start = REPLY_HEADER_BYTES + at;
    this.buffer.fill(0, start, start + length);
  }

  /** Writes a latin1 string, without a terminator. */
  text(at: number, value: string): void {
    this.buffer.write(value, REPLY_HEADER_BYTES + at, 'latin1');
  }

  /** Copies bytes in. Throws RangeError where they do not fit. */
  copy(at: number, bytes: Uint8Array): void {
    this.buffer.set(bytes, REPLY_HEADER_BYTES + at);
  }

  /** The first `length` bytes of the body, to be filled in place. */
  body(length: number): Buffer {
    return this.buffer.subarray(REPLY_HEADER_BYTES, REPLY_HEADER_BYTES + length);
  }
}
