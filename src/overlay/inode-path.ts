// Paths in the mount of what is in memory.
import type { Inode } from './inode.ts';

/** Path of a folder, or of a file by its first name: no leading slash, latin1, `''` for the root. */
export function pathOf(inode: Inode): string {
  return inode.parent === undefined ? '' : pathIn(inode.parent, inode.name);
}

/** Path of a name in a folder. */
export function pathIn(parent: Inode, name: string): string {
  const names = [name];
  for (let at = parent; at.parent !== undefined; at = at.parent) names.push(at.name);
  return names.reverse().join('/');
}
