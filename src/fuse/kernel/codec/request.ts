// One request of the kernel: a reused buffer with the readers of its fields.
//
// Fields are in host byte order and aligned to their size, so they are read through one Uint32Array; 64-bit numbers
// become JavaScript numbers (all of ours are below 2^53; one that is not is imprecise, yet never below 2^53). The
// order of the two halves is that of a little-endian host, as everything is that koffi and Node both run on.
import { ErrnoError } from '../../../util/errno.ts';
import { MAX_WRITE_BYTES, NAME_MAX, REQUEST_HEADER_BYTES, TWO_POW_32 } from '../protocol.ts';

/** What the kernel asks a reader's buffer to hold beyond the data of a WRITE. */
const REQUEST_BYTES = MAX_WRITE_BYTES + 4096;

/** A buffer for one request. All positions (`at`) are bytes from the start of the body. */
export class Request {
  /** Where the request is read into. */
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(REQUEST_BYTES);
  readonly #words = new Uint32Array(this.buffer.buffer);

  /** The operation, see Opcode. */
  get opcode(): number {
    return this.#words[1]!;
  }
  /** Low half of the number that the reply must repeat. */
  get uniqueLow(): number {
    return this.#words[2]!;
  }
  /** High half of the number that the reply must repeat. */
  get uniqueHigh(): number {
    return this.#words[3]!;
  }
  /** Inode number that the request is about. */
  get nodeid(): number {
    return this.#words[4]! + this.#words[5]! * TWO_POW_32;
  }
  /** Who asks. */
  get uid(): number {
    return this.#words[6]!;
  }
  /** Who asks. */
  get gid(): number {
    return this.#words[7]!;
  }
  /** Who asks. */
  get pid(): number {
    return this.#words[8]!;
  }

  /** A 32-bit field. */
  u32(at: number): number {
    return this.#words[(REQUEST_HEADER_BYTES + at) >> 2]!;
  }

  /** An unsigned 64-bit field. */
  u64(at: number): number {
    const word = (REQUEST_HEADER_BYTES + at) >> 2;
    return this.#words[word]! + this.#words[word + 1]! * TWO_POW_32;
  }

  /** A signed 64-bit field. */
  i64(at: number): number {
    const word = (REQUEST_HEADER_BYTES + at) >> 2;
    return this.#words[word]! + (this.#words[word + 1]! | 0) * TWO_POW_32;
  }

  /** A file offset or size. Throws the given errno where it is negative or not exact in a JavaScript number. */
  offset(at: number, errno: 'EINVAL' | 'EFBIG' | 'ENXIO'): number {
    const value = this.i64(at);
    if (value < 0 || value > Number.MAX_SAFE_INTEGER) throw new ErrnoError(errno);
    return value;
  }

  /** The NUL-terminated string at `at`, as latin1. */
  text(at: number): string {
    const start = REQUEST_HEADER_BYTES + at;
    return this.buffer.toString('latin1', start, this.#terminator(start));
  }

  /** Where what follows the string at `at` begins. */
  after(at: number): number {
    return this.#terminator(REQUEST_HEADER_BYTES + at) + 1 - REQUEST_HEADER_BYTES;
  }

  /** The file name at `at`. Throws ENAMETOOLONG. */
  name(at: number): string {
    const name = this.text(at);
    if (name.length > NAME_MAX) throw new ErrnoError('ENAMETOOLONG');
    return name;
  }

  /** `length` bytes at `at`: a view, right only as long as the buffer is not reused. */
  bytes(at: number, length: number): Buffer {
    const start = REQUEST_HEADER_BYTES + at;
    return this.buffer.subarray(start, start + length);
  }

  #terminator(start: number): number {
    const { buffer } = this;
    let end = start;
    while (end < REQUEST_BYTES && buffer[end] !== 0) end++;
    return end;
  }
}
