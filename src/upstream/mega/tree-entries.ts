// What a server gave as a tree, looked into before anything depends on it.
import { MalformedTreeError, parseRawTree, type RawTreeEntry } from '../../git/raw-tree.ts';

/** The entries of a payload, or undefined when it is no tree. */
export function treeEntries(payload: Buffer): RawTreeEntry[] | undefined {
  try {
    return parseRawTree(payload);
  } catch (error) {
    if (error instanceof MalformedTreeError) return undefined;
    throw error;
  }
}
