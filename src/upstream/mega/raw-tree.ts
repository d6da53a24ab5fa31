// Payloads of Git trees, as far as the client of Mega has to look into them.
import type { ObjectId } from '../../util/types.ts';

/** An entry of a tree. */
export interface RawTreeEntry {
  /** Octal digits, as in the tree: `40000`, `100644`. */
  readonly mode: string;
  /** Latin1 binary string. */
  readonly name: string;
  readonly oid: ObjectId;
}

const ID_BYTES = 20;

/** The entries of a payload in its order, or undefined when it is no tree. */
export function parseRawTree(payload: Buffer): RawTreeEntry[] | undefined {
  const entries: RawTreeEntry[] = [];
  for (let at = 0; at < payload.length;) {
    const space = payload.indexOf(0x20, at);
    const nul = space < 0 ? -1 : payload.indexOf(0, space);
    const end = nul + 1 + ID_BYTES;
    if (nul < 0 || end > payload.length) return undefined;
    const mode = payload.toString('latin1', at, space);
    if (!/^[0-7]{5,6}$/.test(mode)) return undefined;
    entries.push({
      mode,
      name: payload.toString('latin1', space + 1, nul),
      oid: payload.toString('hex', nul + 1, end),
    });
    at = end;
  }
  return entries;
}

/** The bytes of one entry. */
export function encodeTreeEntry(entry: RawTreeEntry): Buffer {
  return Buffer.concat([
    Buffer.from(`${entry.mode} ${entry.name}\0`, 'latin1'),
    Buffer.from(entry.oid, 'hex'),
  ]);
}

/** Order of Git's own trees: by bytes, a directory as if its name ended in a slash. */
export function compareGitOrder(
  a: { readonly name: string; readonly isDirectory: boolean },
  b: { readonly name: string; readonly isDirectory: boolean },
): number {
  const left = a.isDirectory ? `${a.name}/` : a.name;
  const right = b.isDirectory ? `${b.name}/` : b.name;
  return left < right ? -1 : left > right ? 1 : 0;
}
