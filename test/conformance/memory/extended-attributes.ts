// Extended attributes of the in-memory reference.
import { XATTR_CREATE, XATTR_REPLACE } from '../../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import type { MemoryNode } from './memory-node.ts';

const NAME_MAX_BYTES = 255;
const VALUE_MAX_BYTES = 65_536;

/** Throws ENODATA. */
export function getAttribute(node: MemoryNode, name: string): Buffer {
  const value = node.xattrs.get(name);
  if (value === undefined) throw new ErrnoError('ENODATA');
  return value;
}

/** Sets as setxattr(2) does with `flags`. */
export function setAttribute(node: MemoryNode, name: string, value: Buffer, flags: number): void {
  if (name.length > NAME_MAX_BYTES) throw new ErrnoError('ERANGE');
  if (!/^(user|trusted|security|system)\../s.test(name)) throw new ErrnoError('EOPNOTSUPP');
  if (value.length > VALUE_MAX_BYTES) throw new ErrnoError('E2BIG');
  if (flags & XATTR_CREATE && node.xattrs.has(name)) throw new ErrnoError('EEXIST');
  if (flags & XATTR_REPLACE && !node.xattrs.has(name)) throw new ErrnoError('ENODATA');
  node.xattrs.set(name, Buffer.from(value));
  node.touchStatus();
}

/** Throws ENODATA. */
export function removeAttribute(node: MemoryNode, name: string): void {
  getAttribute(node, name);
  node.xattrs.delete(name);
  node.touchStatus();
}
