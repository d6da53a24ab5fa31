// The raw payload of a Git tree object: parsing it to entries and writing it back.
import type { ObjectId } from '../util/types.ts';

/** One entry of a tree. */
export interface RawTreeEntry {
  /** The mode as the tree has it, as a number: 0o40000, 0o100644, 0o100755, 0o120000, 0o160000 and historical ones. */
  readonly mode: number;
  /** Name as a latin1 binary string: one character a byte. */
  readonly name: string;
  /** Id of the tree, blob or (submodule) commit: 40 lower-case hexadecimal digits. */
  readonly id: ObjectId;
}

/** A tree's payload ends early, or is no tree at all. */
export class MalformedTreeError extends Error {
  override readonly name = 'MalformedTreeError';
  /** Where in the payload the entry starts that cannot be read, in bytes. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(`malformed tree object: ${reason} at byte ${offset}; check the repository with "git fsck"`);
    this.offset = offset;
  }
}

const ID_BYTES = 20;
const SPACE = 0x20;
const DIGIT_0 = 0x30;
const DIGIT_7 = 0x37;
// 0o160000 is six digits; old tools wrote one leading zero.
const MODE_DIGITS_MAX = 7;

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const S_IFGITLINK = 0o160000;

/** What an entry is, whatever exact mode a historical tool wrote. */
export type RawTreeEntryKind = 'directory' | 'file' | 'executable' | 'symlink' | 'submodule';

/** The kind of an entry, as Git itself reads modes: 0100664 and 0100640 are files, any owner's x makes an executable. */
export function kindOfMode(mode: number): RawTreeEntryKind {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFGITLINK:
      return 'submodule';
    default:
      return (mode & 0o100) === 0 ? 'file' : 'executable';
  }
}

/**
 * Parses the payload of a tree object (what follows its header). Entries come in stored order: some servers store trees
 * that are not in Git's order, so look names up in a map, never by binary search. Names are not judged: an entry may
 * have an empty name, `.`, `..`, or one with a slash, and the caller decides what to do about it. An empty payload is
 * the empty tree.
 *
 * @throws MalformedTreeError when the payload is cut short or is not a tree.
 */
export function parseRawTree(payload: Uint8Array): RawTreeEntry[] {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const entries: RawTreeEntry[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    let mode = 0;
    for (; bytes[at] !== SPACE; at++) {
      const digit = bytes[at];
      if (digit === undefined) throw new MalformedTreeError('the mode is cut short', start);
      if (digit < DIGIT_0 || digit > DIGIT_7 || at - start >= MODE_DIGITS_MAX) {
        throw new MalformedTreeError('the mode is not an octal number', start);
      }
      mode = mode * 8 + (digit - DIGIT_0);
    }
    if (at === start) throw new MalformedTreeError('the mode is empty', start);
    const nameStart = at + 1;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (nameEnd < 0) throw new MalformedTreeError('the name is cut short', start);
    at = nameEnd + 1 + ID_BYTES;
    if (at > bytes.length) throw new MalformedTreeError('the id is cut short', start);
    entries.push({
      mode,
      name: bytes.toString('latin1', nameStart, nameEnd),
      id: bytes.toString('hex', nameEnd + 1, at),
    });
  }
  return entries;
}

/**
 * The payload of a tree object with these entries, in this order; see {@link compareTreeEntries} for Git's order.
 *
 * @throws TypeError when an entry cannot be written: a name with NUL or a character above 0xff, an id that is not 40
 * hexadecimal digits.
 */
export function encodeRawTree(entries: Iterable<RawTreeEntry>): Buffer {
  const parts: Buffer[] = [];
  for (const { mode, name, id } of entries) {
    if (!isBinaryName(name))
      throw new TypeError(`not a tree entry's name (latin1, no NUL): ${JSON.stringify(name)}`);
    if (!/^[0-9a-f]{40}$/.test(id)) throw new TypeError(`not an object id: ${JSON.stringify(id)}`);
    parts.push(Buffer.from(`${mode.toString(8)} ${name}\0`, 'latin1'), Buffer.from(id, 'hex'));
  }
  return Buffer.concat(parts);
}

/** Git's order of the entries of a tree: by bytes, a folder as if its name ended in a slash. */
export function compareTreeEntries(left: Pick<RawTreeEntry, 'mode' | 'name'>, right: typeof left): number {
  const a = sortKey(left);
  const b = sortKey(right);
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function sortKey(entry: Pick<RawTreeEntry, 'mode' | 'name'>): string {
  return (entry.mode & S_IFMT) === S_IFDIR ? `${entry.name}/` : entry.name;
}

function isBinaryName(name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (code === 0 || code > 0xff) return false;
  }
  return true;
}
