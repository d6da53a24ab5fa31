// An object of the in-memory reference filesystem, and the table of all of them.
import type { Attributes, Timestamp } from '../../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../../src/util/errno.ts';
import { FolderEntries } from './folder-entries.ts';
import { SparseContent } from './sparse-content.ts';

/** The bits of a mode that tell the type, and the types. */
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

let lastNanoseconds = 0n;

/** The time now; later than at every earlier call. */
export function now(): Timestamp {
  const wall = BigInt(Date.now()) * 1_000_000n;
  lastNanoseconds = wall > lastNanoseconds ? wall : lastNanoseconds + 1n;
  return {
    seconds: Number(lastNanoseconds / 1_000_000_000n),
    nanoseconds: Number(lastNanoseconds % 1_000_000_000n),
  };
}

/** An object: what a type does not need stays empty. */
export class MemoryNode {
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  readonly rdev: number;
  nlink = 0;
  /** Made without a name, so that it may get one. */
  isLinkable = false;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  readonly xattrs: Map<string, Buffer> = new Map();
  /** Of a regular file. */
  readonly content: SparseContent = new SparseContent();
  /** Of a symbolic link. */
  target: Buffer = Buffer.alloc(0);
  /** Of a folder. */
  readonly entries: FolderEntries = new FolderEntries();
  /** Of a folder: the one that holds it; undefined once it was removed. */
  parent: MemoryNode | undefined;
  /** What the kernel holds. */
  references = 0;
  openFiles = 0;

  constructor(ino: number, mode: number, owner: { uid: number; gid: number; rdev?: number }) {
    this.ino = ino;
    this.mode = mode;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.rdev = owner.rdev ?? 0;
    this.atime = this.mtime = this.ctime = now();
  }

  get type(): number {
    return this.mode & S_IFMT;
  }

  get isFolder(): boolean {
    return this.type === S_IFDIR;
  }

  /** The content changed. */
  touch(): void {
    this.mtime = this.ctime = now();
  }

  /** What an unprivileged change of the content or a new owner takes away. */
  clearSetId(): void {
    if (this.type !== S_IFREG) return;
    const group = (this.mode & S_IXGRP) === 0 ? 0 : S_ISGID;
    this.mode &= ~(S_ISUID | group);
  }

  /** Something other than the content changed. */
  touchStatus(): void {
    this.ctime = now();
  }

  attributes(): Attributes {
    const size = this.type === S_IFREG ? this.content.size : this.target.length;
    return {
      ino: this.ino,
      mode: this.mode,
      nlink: this.nlink,
      uid: this.uid,
      gid: this.gid,
      rdev: this.rdev,
      size: this.isFolder ? 4096 : size,
      blocks: this.content.sectors,
      blksize: 4096,
      atime: this.atime.seconds,
      atimeNsec: this.atime.nanoseconds,
      mtime: this.mtime.seconds,
      mtimeNsec: this.mtime.nanoseconds,
      ctime: this.ctime.seconds,
      ctimeNsec: this.ctime.nanoseconds,
    };
  }
}

/** All objects by inode number; drops those that nobody can reach any more. */
export class NodeTable {
  readonly #nodes = new Map<number, MemoryNode>();
  #nextIno = 1;

  add(mode: number, owner: { uid: number; gid: number; rdev?: number }): MemoryNode {
    const node = new MemoryNode(this.#nextIno++, mode, owner);
    this.#nodes.set(node.ino, node);
    return node;
  }

  /** Throws ESTALE for a number that means nothing (any more). */
  get(ino: number): MemoryNode {
    const node = this.#nodes.get(ino);
    if (node === undefined) throw new ErrnoError('ESTALE');
    return node;
  }

  /** The folder of a number; throws ENOTDIR. */
  folder(ino: number): MemoryNode {
    const node = this.get(ino);
    if (!node.isFolder) throw new ErrnoError('ENOTDIR');
    return node;
  }

  /** Lets go of a node without names, references and open files. */
  dropUnused(node: MemoryNode): void {
    if (node.nlink === 0 && node.references === 0 && node.openFiles === 0) this.#nodes.delete(node.ino);
  }

  get size(): number {
    return this.#nodes.size;
  }
}
