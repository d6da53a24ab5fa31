// Renaming in the in-memory reference.
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import type { MemoryNode } from './memory-node.ts';

/** A name in a folder. */
export interface Place {
  readonly folder: MemoryNode;
  readonly name: string;
}

/** Does what renameat2(2) does; returns the node that lost its last name at `to`, if any. */
export function renameNode(from: Place, to: Place, flags: number): MemoryNode | undefined {
  checkFlags(flags);
  const source = from.folder.entries.get(from.name);
  if (source === undefined) throw new ErrnoError('ENOENT');
  const target = to.folder.entries.get(to.name);
  if (flags & RENAME_NOREPLACE && target !== undefined) throw new ErrnoError('EEXIST');
  if (flags & RENAME_EXCHANGE) {
    if (target === undefined) throw new ErrnoError('ENOENT');
    exchange(from, source, to, target);
    return undefined;
  }
  if (isSameOrBelow(to.folder, source)) throw new ErrnoError('EINVAL');
  if (to.folder.parent === undefined) throw new ErrnoError('ENOENT');
  if (source === target) return undefined;
  if (target !== undefined) checkReplaceable(source, target);
  from.folder.entries.delete(from.name);
  to.folder.entries.set(to.name, source);
  adopt(source, from.folder, to.folder);
  touchAll(from, to, source);
  if (target !== undefined) loseName(target, to.folder);
  return target;
}

/** Accounts for the loss of a name (of an empty folder: of the folder). */
export function loseName(node: MemoryNode, folder: MemoryNode): void {
  if (node.isFolder) {
    node.nlink = 0;
    node.parent = undefined;
    folder.nlink--;
  } else {
    node.nlink--;
  }
  node.touchStatus();
}

function checkFlags(flags: number): void {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) throw new ErrnoError('EINVAL');
  if (flags === (RENAME_NOREPLACE | RENAME_EXCHANGE)) throw new ErrnoError('EINVAL');
}

function checkReplaceable(source: MemoryNode, target: MemoryNode): void {
  if (source.isFolder && !target.isFolder) throw new ErrnoError('ENOTDIR');
  if (!source.isFolder && target.isFolder) throw new ErrnoError('EISDIR');
  if (target.isFolder && target.entries.size > 0) throw new ErrnoError('ENOTEMPTY');
}

function exchange(from: Place, source: MemoryNode, to: Place, target: MemoryNode): void {
  if (isSameOrBelow(to.folder, source) || isSameOrBelow(from.folder, target)) throw new ErrnoError('EINVAL');
  if (source === target) return;
  from.folder.entries.set(from.name, target);
  to.folder.entries.set(to.name, source);
  adopt(source, from.folder, to.folder);
  adopt(target, to.folder, from.folder);
  touchAll(from, to, source);
  target.touchStatus();
}

function adopt(node: MemoryNode, oldFolder: MemoryNode, newFolder: MemoryNode): void {
  if (!node.isFolder || oldFolder === newFolder) return;
  node.parent = newFolder;
  oldFolder.nlink--;
  newFolder.nlink++;
}

function touchAll(from: Place, to: Place, node: MemoryNode): void {
  from.folder.touch();
  to.folder.touch();
  node.touchStatus();
}

function isSameOrBelow(folder: MemoryNode, ancestor: MemoryNode): boolean {
  for (let at: MemoryNode | undefined = folder; at !== undefined;) {
    if (at === ancestor) return true;
    if (at.parent === at) return false;
    at = at.parent;
  }
  return false;
}
