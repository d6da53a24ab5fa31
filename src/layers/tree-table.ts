// A parsed tree in compact form: no object for an entry. Independent of where the tree hangs.
import { kindOfMode, parseRawTree, type RawTreeEntry } from '../git/raw-tree.ts';
import { isBlobEntry, packSizes, UNKNOWN_SIZE, unpackSizes } from '../git/sized-tree.ts';
import type { ObjectId } from '../util/types.ts';
import { NameIndex } from './name-index.ts';

const NAME_MAX = 255;
const ID_BYTES = 20;
const SPACE = 0x20;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Modes that entries show, by the codes that a table keeps. */
const MODES: readonly number[] = [0o040755, 0o100644, 0o100755, 0o120777, 0o040755];
const CODES = { directory: 0, file: 1, executable: 2, symlink: 3, submodule: 4 } as const;

/** Whether a mode is that of a folder. */
export function isFolderMode(mode: number): boolean {
  return (mode & S_IFMT) === 0o040000;
}

/** Whether a mode is that of a symlink. */
export function isSymlinkMode(mode: number): boolean {
  return (mode & S_IFMT) === 0o120000;
}

/** Why an entry cannot be shown as a file, or undefined when it can. */
function objectionTo({ mode, name }: RawTreeEntry): string | undefined {
  if (name === '') return 'an empty name';
  if (name === '.' || name === '..') return `the name "${name}"`;
  // Git refuses to write such a tree, and a repository folder that comes with the content can run commands.
  if (name === '.git') return 'the name ".git"';
  if (name.includes('/')) return 'a slash in a name';
  if (name.length > NAME_MAX) return `a name of more than ${NAME_MAX} bytes`;
  if (kindOfMode(mode) === 'file' && (mode & S_IFMT) !== S_IFREG) return `the mode ${mode.toString(8)}`;
  return undefined;
}

/** The entries of a tree. */
export class TreeTable {
  readonly #payload: Buffer;
  readonly #starts: Uint32Array;
  readonly #lengths: Uint8Array;
  readonly #codes: Uint8Array;
  readonly #index: NameIndex;
  #sizes: Float64Array | undefined;
  /** Number of entries. */
  readonly length: number;
  /** What was left out, in words; empty for a sound tree. */
  readonly objections: readonly string[];

  /**
   * Parses the payload of a tree object, which must not change afterwards. `sizes` are packed sizes of its blobs.
   *
   * @throws MalformedTreeError when it is none.
   */
  constructor(payload: Buffer, sizes?: Buffer) {
    const entries = parseRawTree(payload);
    // A small payload may be a piece of a pool or of a response's buffer, all of which it would keep in memory.
    this.#payload =
      payload.buffer.byteLength > payload.byteLength * 2 ? Buffer.from(new Uint8Array(payload)) : payload;
    this.#starts = new Uint32Array(entries.length);
    this.#lengths = new Uint8Array(entries.length);
    this.#codes = new Uint8Array(entries.length);
    this.#index = new NameIndex(this.#payload, this.#starts, this.#lengths, entries.length);
    const objections = new Set<string>();
    const known = sizes === undefined ? undefined : unpackSizes(sizes, entries.filter(isBlobEntry).length);
    let at = 0;
    let count = 0;
    let blobs = 0;
    for (const entry of entries) {
      // The parser proved the form: digits, a space, the name, NUL, the id.
      const start = this.#payload.indexOf(SPACE, at) + 1;
      at = start + entry.name.length + 1 + ID_BYTES;
      this.#starts[count] = start;
      this.#lengths[count] = entry.name.length;
      this.#codes[count] = CODES[kindOfMode(entry.mode)];
      const size = known !== undefined && isBlobEntry(entry) ? known[blobs++] : undefined;
      const objection = objectionTo(entry);
      if (objection !== undefined) objections.add(objection);
      else if (this.#index.add(count, entry.name)) {
        if (size !== undefined) this.setSize(count, size);
        count++;
      } else objections.add(`a name twice (${JSON.stringify(entry.name)})`);
    }
    this.length = count;
    this.objections = [...objections];
  }

  /** Bytes of memory; sizes, which come later, are counted from the beginning. */
  get byteLength(): number {
    return this.#payload.length + this.#starts.length * 14 + this.#index.byteLength;
  }

  name(index: number): string {
    const start = this.#starts[index] ?? 0;
    return this.#payload.toString('latin1', start, start + (this.#lengths[index] ?? 0));
  }

  mode(index: number): number {
    return MODES[this.#codes[index] ?? CODES.file] ?? 0;
  }

  isSubmodule(index: number): boolean {
    return this.#codes[index] === CODES.submodule;
  }

  /** Whether the entry is a blob, which has a size. */
  isBlob(index: number): boolean {
    return !isFolderMode(this.mode(index));
  }

  id(index: number): ObjectId {
    const start = (this.#starts[index] ?? 0) + (this.#lengths[index] ?? 0) + 1;
    return this.#payload.toString('hex', start, start + ID_BYTES);
  }

  /** Number of the entry of a name, or -1. */
  find(name: string): number {
    return this.#index.find(name);
  }

  /** Size of a blob in bytes where it was noted. */
  size(index: number): number | undefined {
    const size = this.#sizes?.[index] ?? UNKNOWN_SIZE;
    return size === UNKNOWN_SIZE ? undefined : size;
  }

  /** Notes the size of a blob. */
  setSize(index: number, size: number): void {
    this.#sizes ??= new Float64Array(this.#starts.length).fill(UNKNOWN_SIZE);
    this.#sizes[index] = size;
  }

  /** Notes packed sizes, for a tree of which all entries are shown. */
  setSizes(packed: Buffer): void {
    if (this.objections.length > 0) return;
    const blobs: number[] = [];
    for (let index = 0; index < this.length; index++) if (this.isBlob(index)) blobs.push(index);
    const sizes = unpackSizes(packed, blobs.length);
    for (const [nth, index] of blobs.entries()) {
      const size = sizes?.[nth] ?? UNKNOWN_SIZE;
      if (size !== UNKNOWN_SIZE) this.setSize(index, size);
    }
  }

  /** The sizes that were noted, packed; undefined for a tree of which not all entries are shown. */
  packSizes(): Buffer | undefined {
    if (this.objections.length > 0) return undefined;
    const sizes: (number | undefined)[] = [];
    for (let index = 0; index < this.length; index++) if (this.isBlob(index)) sizes.push(this.size(index));
    return packSizes(sizes);
  }
}
