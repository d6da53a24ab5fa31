// Folder listings: entries written straight into the reply, until it is full.
import type { DirectorySink, Entry } from '../../filesystem.ts';
import type { Reply } from './reply.ts';
import { ENTRY_BYTES, writeEntry } from './structures.ts';

/** Bytes of `struct fuse_dirent` before the name. */
const DIRENT_BYTES = 24;

const align = (length: number): number => (length + 7) & ~7;

/** Takes entries for READDIR, or with `plus` for READDIRPLUS, up to `limit` bytes of the reply's body. */
export class ReplySink implements DirectorySink {
  readonly #reply: Reply;
  readonly #limit: number;
  readonly #plus: boolean;
  #length = 0;

  constructor(reply: Reply, limit: number, plus: boolean) {
    this.#reply = reply;
    this.#limit = limit;
    this.#plus = plus;
  }

  /** Bytes of the listing. */
  get length(): number {
    return this.#length;
  }

  add(name: string, ino: number, type: number, nextOffset: number): boolean {
    const start = this.#reserve(name);
    if (start < 0) return false;
    // With node id 0 an entry is only listed; the kernel looks it up when it needs it.
    if (this.#plus) this.#reply.zero(start, ENTRY_BYTES);
    this.#writeDirent(start, name, ino, type, nextOffset);
    return true;
  }

  addEntry(name: string, entry: Entry, nextOffset: number): boolean {
    const { ino, mode } = entry.attributes;
    // READDIR carries no attributes and so takes no reference: a filesystem offers entries to READDIRPLUS only.
    if (!this.#plus) throw new TypeError('entries with attributes offered to readdir');
    const start = this.#reserve(name);
    if (start < 0) return false;
    writeEntry(this.#reply, start, entry);
    this.#writeDirent(start, name, ino, mode, nextOffset);
    return true;
  }

  #reserve(name: string): number {
    const start = this.#length;
    const length = (this.#plus ? ENTRY_BYTES : 0) + align(DIRENT_BYTES + name.length);
    if (start + length > this.#limit) return -1;
    this.#length = start + length;
    return start;
  }

  #writeDirent(start: number, name: string, ino: number, type: number, nextOffset: number): void {
    const reply = this.#reply;
    const at = this.#plus ? start + ENTRY_BYTES : start;
    const end = at + DIRENT_BYTES + name.length;
    reply.u64(at, ino);
    reply.u64(at + 8, nextOffset);
    reply.u32(at + 16, name.length);
    reply.u32(at + 20, type >> 12);
    reply.text(at + DIRENT_BYTES, name);
    reply.zero(end, align(end) - end);
  }
}

/** Inode numbers that a READDIRPLUS reply of `length` bytes counts a reference to, one for each. */
export function* listedInodes(reply: Reply, length: number): Generator<number> {
  for (
    let at = 0;
    at < length;
    at += ENTRY_BYTES + align(DIRENT_BYTES + reply.readU32(at + ENTRY_BYTES + 16))
  ) {
    const ino = reply.readU64(at);
    if (ino !== 0) yield ino;
  }
}
