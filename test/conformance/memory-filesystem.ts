// A reference implementation of the filesystem contract: all in memory, POSIX as Linux has it, no regard for speed.
import { constants } from 'node:fs';
import {
  type AttributeChanges,
  type Attributes,
  type CallContext,
  type DirectorySink,
  type Entry,
  type FilePosition,
  type Filesystem,
  type FilesystemStatistics,
  type OpenedFile,
  WRITE_CLEAR_SET_ID,
} from '../../src/fuse/filesystem.ts';
import { ErrnoError } from '../../src/util/errno.ts';
import { getAttribute, removeAttribute, setAttribute } from './memory/extended-attributes.ts';
import { type MemoryNode, NodeTable, now, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './memory/memory-node.ts';
import { type OpenFile, OpenFiles } from './memory/open-files.ts';
import { loseName, renameNode } from './memory/rename.ts';

const NAME_MAX_BYTES = 255;
const S_ISGID = 0o2000;
const PERMISSION_BITS = 0o7777;
const CACHE_SECONDS = 3600;

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

const PLACE_AFTER_DOT = 1;
const PLACE_AFTER_DOT_DOT = 2;

/**
 * The reference. Unlike the contract asks of others, `forget` and `release` throw when more is given back than was
 * handed out, since that is a fault of the caller which a test should see.
 */
export class MemoryFilesystem implements Filesystem {
  readonly negativeTtl: number = CACHE_SECONDS;
  readonly attributesTtl: number = CACHE_SECONDS;
  readonly #nodes = new NodeTable();
  readonly #files = new OpenFiles();

  constructor(owner: { uid: number; gid: number }) {
    const root = this.#nodes.add(S_IFDIR | 0o755, owner);
    root.nlink = 2;
    root.parent = root;
    // The kernel holds the root without ever asking for it.
    root.references = 1;
  }

  /** How many objects and open files are held, for tests that look for leaks. */
  get held(): { objects: number; files: number } {
    return { objects: this.#nodes.size, files: this.#files.size };
  }

  lookup(parent: number, name: string, _ctx: CallContext): Entry {
    const folder = this.#nodes.folder(parent);
    checkName(name);
    const node = folder.entries.get(name);
    if (node === undefined) throw new ErrnoError('ENOENT');
    return this.#entry(node);
  }

  forget(ino: number, count: number): void {
    const node = this.#nodes.get(ino);
    if (count > node.references) {
      throw new Error(`inode ${ino} is forgotten ${count} times but referenced ${node.references} times`);
    }
    node.references -= count;
    this.#nodes.dropUnused(node);
  }

  getattr(ino: number, fh: number | undefined, _ctx: CallContext): Attributes {
    return (fh === undefined ? this.#nodes.get(ino) : this.#files.get(fh).node).attributes();
  }

  setattr(ino: number, changes: AttributeChanges, _ctx: CallContext): Attributes {
    const node = changes.fh === undefined ? this.#nodes.get(ino) : this.#files.get(changes.fh).node;
    if (changes.mode !== undefined && node.type === S_IFLNK) throw new ErrnoError('EOPNOTSUPP');
    if (changes.size !== undefined) {
      if (node.isFolder) throw new ErrnoError('EISDIR');
      if (node.type !== S_IFREG || changes.size < 0) throw new ErrnoError('EINVAL');
      node.content.truncate(changes.size);
      node.touch();
      if (changes.clearSetId === true) node.clearSetId();
    }
    if (changes.uid !== undefined || changes.gid !== undefined) node.clearSetId();
    if (changes.mode !== undefined) node.mode = node.type | (changes.mode & PERMISSION_BITS);
    if (changes.uid !== undefined) node.uid = changes.uid;
    if (changes.gid !== undefined) node.gid = changes.gid;
    if (changes.atime !== undefined) node.atime = changes.atime === 'now' ? now() : changes.atime;
    if (changes.mtime !== undefined) node.mtime = changes.mtime === 'now' ? now() : changes.mtime;
    node.touchStatus();
    return node.attributes();
  }

  readlink(ino: number, _ctx: CallContext): Buffer {
    const node = this.#nodes.get(ino);
    if (node.type !== S_IFLNK) throw new ErrnoError('EINVAL');
    return node.target;
  }

  mknod(parent: number, name: string, mode: number, rdev: number, ctx: CallContext): Entry {
    const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
    if (type === S_IFDIR || type === S_IFLNK) throw new ErrnoError('EINVAL');
    return this.#entry(this.#make(parent, name, type | (mode & PERMISSION_BITS), ctx, rdev));
  }

  mkdir(parent: number, name: string, mode: number, ctx: CallContext): Entry {
    const node = this.#make(parent, name, S_IFDIR | (mode & PERMISSION_BITS), ctx);
    const folder = this.#nodes.folder(parent);
    node.nlink = 2;
    node.parent = folder;
    folder.nlink++;
    return this.#entry(node);
  }

  symlink(parent: number, name: string, target: Buffer, ctx: CallContext): Entry {
    const node = this.#make(parent, name, S_IFLNK | 0o777, ctx);
    node.target = Buffer.from(target);
    return this.#entry(node);
  }

  link(ino: number, parent: number, name: string, _ctx: CallContext): Entry {
    const node = this.#nodes.get(ino);
    const folder = this.#folderForNew(parent, name);
    if (node.isFolder) throw new ErrnoError('EPERM');
    if (node.nlink === 0 && !node.isLinkable) throw new ErrnoError('ENOENT');
    folder.entries.set(name, node);
    node.nlink++;
    node.touchStatus();
    folder.touch();
    return this.#entry(node);
  }

  unlink(parent: number, name: string, _ctx: CallContext): void {
    const { folder, node } = this.#existing(parent, name);
    if (node.isFolder) throw new ErrnoError('EISDIR');
    this.#remove(folder, name, node);
  }

  rmdir(parent: number, name: string, _ctx: CallContext): void {
    const { folder, node } = this.#existing(parent, name);
    if (!node.isFolder) throw new ErrnoError('ENOTDIR');
    if (node.entries.size > 0) throw new ErrnoError('ENOTEMPTY');
    this.#remove(folder, name, node);
  }

  rename(
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
    _ctx: CallContext,
  ): void {
    checkName(name);
    checkName(newName);
    const from = { folder: this.#nodes.folder(parent), name };
    const to = { folder: this.#nodes.folder(newParent), name: newName };
    const replaced = renameNode(from, to, flags);
    if (replaced !== undefined) this.#nodes.dropUnused(replaced);
  }

  open(ino: number, flags: number, _ctx: CallContext): OpenedFile {
    return this.#open(this.#nodes.get(ino), flags);
  }

  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): { entry: Entry; file: OpenedFile } {
    checkName(name);
    const existing = this.#nodes.folder(parent).entries.get(name);
    if (existing !== undefined && flags & constants.O_EXCL) throw new ErrnoError('EEXIST');
    const node = existing ?? this.#make(parent, name, S_IFREG | (mode & PERMISSION_BITS), ctx);
    const file = this.#open(node, existing === undefined ? flags & ~constants.O_TRUNC : flags);
    return { entry: this.#entry(node), file };
  }

  tmpfile(parent: number, mode: number, flags: number, ctx: CallContext): { entry: Entry; file: OpenedFile } {
    const folder = this.#nodes.folder(parent);
    if (folder.nlink === 0) throw new ErrnoError('ENOENT');
    const gid = (folder.mode & S_ISGID) === 0 ? ctx.gid : folder.gid;
    const node = this.#nodes.add(S_IFREG | (mode & PERMISSION_BITS), { uid: ctx.uid, gid });
    node.isLinkable = true;
    return { entry: this.#entry(node), file: this.#open(node, flags) };
  }

  read(ino: number, fh: number, target: Uint8Array, position: number, _ctx: CallContext): number {
    return this.#opened(ino, fh).node.content.read(target, position);
  }

  write(
    ino: number,
    fh: number,
    data: Uint8Array,
    position: number,
    options: number,
    _ctx: CallContext,
  ): number {
    const { node, append } = this.#opened(ino, fh);
    node.content.write(data, append ? node.content.size : position);
    if (data.length > 0) {
      node.touch();
      node.xattrs.delete('security.capability');
    }
    if ((options & WRITE_CLEAR_SET_ID) !== 0) node.clearSetId();
    return data.length;
  }

  fsync(ino: number, fh: number, _dataOnly: boolean, _ctx: CallContext): void {
    this.#opened(ino, fh);
  }

  fallocate(ino: number, fh: number, mode: number, offset: number, length: number, ctx: CallContext): void {
    const { node } = this.#opened(ino, fh);
    if (offset < 0 || length <= 0) throw new ErrnoError('EINVAL');
    const keepSize = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
    const action = mode & ~FALLOC_FL_KEEP_SIZE;
    if (action === 0) {
      node.content.allocate(offset, length, keepSize);
    } else if (action === FALLOC_FL_PUNCH_HOLE && keepSize) {
      node.content.punch(offset, length);
    } else if (action === FALLOC_FL_ZERO_RANGE) {
      node.content.punch(offset, length);
      if (!keepSize) node.content.truncate(Math.max(node.content.size, offset + length));
    } else {
      throw new ErrnoError('EOPNOTSUPP');
    }
    node.touch();
    if (ctx.uid !== 0) node.clearSetId();
  }

  lseek(ino: number, fh: number, offset: number, whence: number, _ctx: CallContext): number {
    const { content } = this.#opened(ino, fh).node;
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new ErrnoError('EINVAL');
    return content.seek(offset, whence === SEEK_DATA ? 'data' : 'hole');
  }

  copyFileRange(source: FilePosition, target: FilePosition, length: number, ctx: CallContext): number {
    const { content } = this.#opened(source.ino, source.fh).node;
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, content.size - source.offset)));
    content.read(bytes, source.offset);
    const options = ctx.uid === 0 ? 0 : WRITE_CLEAR_SET_ID;
    return this.write(target.ino, target.fh, bytes, target.offset, options, ctx);
  }

  release(fh: number): void {
    this.#nodes.dropUnused(this.#files.close(fh));
  }

  readdir(ino: number, offset: number, sink: DirectorySink, _ctx: CallContext): void {
    this.#list(ino, offset, sink, (name, node, next) => sink.add(name, node.ino, node.type, next));
  }

  readdirplus(ino: number, offset: number, sink: DirectorySink, _ctx: CallContext): void {
    this.#list(ino, offset, sink, (name, node, next) => {
      const accepted = sink.addEntry(name, entryOf(node), next);
      if (accepted) node.references++;
      return accepted;
    });
  }

  fsyncdir(ino: number, _dataOnly: boolean, _ctx: CallContext): void {
    this.#nodes.folder(ino);
  }

  getxattr(ino: number, name: string, _ctx: CallContext): Buffer {
    return getAttribute(this.#nodes.get(ino), name);
  }

  listxattr(ino: number, _ctx: CallContext): string[] {
    return [...this.#nodes.get(ino).xattrs.keys()];
  }

  setxattr(ino: number, name: string, value: Buffer, flags: number, _ctx: CallContext): void {
    setAttribute(this.#nodes.get(ino), name, value, flags);
  }

  removexattr(ino: number, name: string, _ctx: CallContext): void {
    removeAttribute(this.#nodes.get(ino), name);
  }

  statfs(_ino: number, _ctx: CallContext): FilesystemStatistics {
    const blocks = 2 ** 20;
    return {
      blockSize: 4096,
      blocks,
      blocksFree: blocks,
      blocksAvailable: blocks,
      files: blocks,
      filesFree: blocks - this.#nodes.size,
      nameMax: NAME_MAX_BYTES,
    };
  }

  destroy(): void {
    // Everything goes with the object itself.
  }

  /** The open file; without a handle the object itself. */
  #opened(ino: number, fh: number): OpenFile {
    if (fh === 0) return { node: this.#nodes.get(ino), append: false };
    const file = this.#files.get(fh);
    if (file.node.ino !== ino) throw new Error(`handle ${fh} is of inode ${file.node.ino}, not of ${ino}`);
    return file;
  }

  #entry(node: MemoryNode): Entry {
    node.references++;
    return entryOf(node);
  }

  #folderForNew(parent: number, name: string): MemoryNode {
    const folder = this.#nodes.folder(parent);
    checkName(name);
    if (folder.entries.get(name) !== undefined) throw new ErrnoError('EEXIST');
    if (folder.parent === undefined) throw new ErrnoError('ENOENT');
    return folder;
  }

  #make(parent: number, name: string, mode: number, ctx: CallContext, rdev = 0): MemoryNode {
    const folder = this.#folderForNew(parent, name);
    const inherits = (folder.mode & S_ISGID) !== 0;
    const isFolder = (mode & S_IFMT) === S_IFDIR;
    const node = this.#nodes.add(inherits && isFolder ? mode | S_ISGID : mode, {
      uid: ctx.uid,
      gid: inherits ? folder.gid : ctx.gid,
      rdev,
    });
    node.nlink = 1;
    folder.entries.set(name, node);
    folder.touch();
    return node;
  }

  #existing(parent: number, name: string): { folder: MemoryNode; node: MemoryNode } {
    const folder = this.#nodes.folder(parent);
    checkName(name);
    const node = folder.entries.get(name);
    if (node === undefined) throw new ErrnoError('ENOENT');
    return { folder, node };
  }

  #remove(folder: MemoryNode, name: string, node: MemoryNode): void {
    folder.entries.delete(name);
    folder.touch();
    loseName(node, folder);
    this.#nodes.dropUnused(node);
  }

  #open(node: MemoryNode, flags: number): OpenedFile {
    if (node.isFolder) throw new ErrnoError('EISDIR');
    if (node.type === S_IFLNK) throw new ErrnoError('ELOOP');
    if (node.type !== S_IFREG) throw new ErrnoError('ENXIO');
    if (flags & constants.O_TRUNC) {
      node.content.truncate(0);
      node.touch();
    }
    return { fh: this.#files.open(node, flags), keepCache: true };
  }

  #list(
    ino: number,
    offset: number,
    sink: DirectorySink,
    offer: (name: string, node: MemoryNode, nextOffset: number) => boolean,
  ): void {
    const folder = this.#nodes.folder(ino);
    if (offset < PLACE_AFTER_DOT && !sink.add('.', ino, S_IFDIR, PLACE_AFTER_DOT)) return;
    const parent = folder.parent ?? folder;
    if (offset < PLACE_AFTER_DOT_DOT && !sink.add('..', parent.ino, S_IFDIR, PLACE_AFTER_DOT_DOT)) return;
    let place = Math.max(offset, PLACE_AFTER_DOT_DOT);
    for (let entry = folder.entries.after(place); entry !== undefined;) {
      if (!offer(entry.name, entry.node, entry.place)) return;
      place = entry.place;
      entry = folder.entries.after(place);
    }
  }
}

function checkName(name: string): void {
  if (name.length > NAME_MAX_BYTES) throw new ErrnoError('ENAMETOOLONG');
}

function entryOf(node: MemoryNode): Entry {
  return { attributes: node.attributes(), entryTtl: CACHE_SECONDS, attributesTtl: CACHE_SECONDS };
}
