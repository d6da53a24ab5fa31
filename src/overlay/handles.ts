// Open files: opening, reading, writing, and what else works on a descriptor.
import { constants, fstatSync, fsync, ftruncateSync, readSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import type { CallContext, Entry, OpenedFile } from '../fuse/filesystem.ts';
import type { LayerEntry } from '../layers/layer.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { closeFd, copyFileRange, fallocate, lseek, openAt } from '../util/syscall.ts';
import type { Awaitable } from '../util/types.ts';
import { clearSetId, copyUpContent, discardContent, openUpper } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import { makeObject } from './create.ts';
import type { Inode } from './inode.ts';
import { attempt, need } from './pending.ts';

const fsyncAsync: (fd: number) => Promise<void> = promisify(fsync);
const writeAsync = promisify(write);

const { O_ACCMODE, O_RDONLY, O_APPEND, O_TRUNC, O_CREAT, O_EXCL, O_SYNC, O_DSYNC } = {
  O_ACCMODE: 3,
  ...constants,
};
/** Flags of open(2) that the descriptor of the backing file gets too. */
const BACKING_FLAGS = O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC;
/** A copy inside the daemon is made in steps, so that others get their turn. Bytes. */
const COPY_STEP_BYTES = 16 * 1024 * 1024;

class FileHandle {
  readonly inode: Inode;
  readonly flags: number;
  /** Descriptor of the file in the upper layer or of the lower layer's content. */
  fd: number;
  /** The inode's version that `fd` belongs to. */
  version: number;

  constructor(inode: Inode, flags: number, fd: number, version: number) {
    this.inode = inode;
    this.flags = flags;
    this.fd = fd;
    this.version = version;
  }

  get isWritable(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }
}

/** The open files of one overlay. */
export class FileHandles {
  readonly #core: OverlayCore;
  readonly #handles = new Map<number, FileHandle>();
  #next = 1;

  constructor(core: OverlayCore) {
    this.#core = core;
  }

  open(ino: number, flags: number, ctx: CallContext): Awaitable<OpenedFile> {
    const ready = attempt(ctx, () => this.#prepare(ino, flags, ctx));
    return chain(ready, ({ inode, lower, version, fd }) => {
      if (lower === undefined) return this.#add(inode, flags, fd, version);
      return chain(this.#core.layer.open(lower, ctx), (lowerFd) => {
        this.#checkSize(inode, lower, lowerFd);
        return this.#add(inode, flags, lowerFd, version);
      });
    });
  }

  /**
   * The kernel cuts what is read to the size that it was told. Where the server told a wrong one, this open fails, and
   * the next one finds the right size.
   */
  #checkSize(inode: Inode, lower: LayerEntry, fd: number): void {
    const { layer, notifier } = this.#core;
    const { size } = fstatSync(fd);
    const told = layer.knownSize(lower);
    if (told === undefined || told === size) return;
    closeFd(fd);
    layer.correctSize(lower, size);
    notifier?.invalidateInode(inode.ino, 0, 0);
    throw new ErrnoError(
      'EIO',
      `the server told a wrong size of ${lower.path}: it is ${size}; open it again`,
    );
  }

  create(
    parent: Inode,
    name: string,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): Awaitable<{ entry: Entry; file: OpenedFile }> {
    const core = this.#core;
    const existing = core.child(parent, name, ctx);
    if (existing !== undefined) {
      if ((flags & O_EXCL) !== 0) throw new ErrnoError('EEXIST');
      if (existing.type !== constants.S_IFREG) throw new ErrnoError(existing.directory ? 'EISDIR' : 'EEXIST');
      return chain(this.open(existing.ino, flags & ~O_CREAT, ctx), (file) => ({
        entry: core.entry(existing, ctx),
        file,
      }));
    }
    let fd = -1;
    try {
      const inode = makeObject(
        core,
        parent,
        name,
        ctx,
        constants.S_IFREG | (mode & 0o7777),
        (dirfd, at, permissions) => {
          fd = openAt(dirfd, at, (flags & BACKING_FLAGS) | O_CREAT | O_EXCL, permissions);
        },
      );
      return { entry: core.entry(inode, ctx), file: this.#add(inode, flags, fd, inode.version) };
    } catch (error) {
      // It could be made, but not be given to its owner.
      if (fd >= 0) closeFd(fd);
      throw error;
    }
  }

  /** Descriptor of the file's present content, for reading. */
  #current(fh: number): FileHandle {
    const handle = this.get(fh);
    if (handle.version !== handle.inode.version) {
      const fd = openUpper(this.#core, handle.inode, handle.flags & BACKING_FLAGS);
      closeFd(handle.fd);
      handle.fd = fd;
      handle.version = handle.inode.version;
    }
    return handle;
  }

  get(fh: number): FileHandle {
    const handle = this.#handles.get(fh);
    if (handle === undefined) throw new ErrnoError('EBADF');
    return handle;
  }

  read(fh: number, target: Uint8Array, position: number): number {
    const { fd } = this.#current(fh);
    let done = 0;
    while (done < target.length) {
      const count = readSync(fd, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(fh: number, data: Uint8Array, position: number): Awaitable<number> {
    const handle = this.#current(fh);
    if (!handle.isWritable) throw new ErrnoError('EBADF');
    if ((handle.flags & (O_SYNC | O_DSYNC)) !== 0) return writeDurably(handle.fd, data, position);
    let done = 0;
    while (done < data.length) {
      try {
        done += writeSync(handle.fd, data, done, data.length - done, position + done);
      } catch (error) {
        // What fitted on the disk was written and is reported; the next write reports the error.
        if (done > 0) return done;
        throw error;
      }
    }
    return done;
  }

  /** Changes the size through an open file, which may allow what the file's mode no longer does. */
  truncate(fh: number, size: number): void {
    const handle = this.#current(fh);
    if (!handle.isWritable) throw new ErrnoError('EINVAL');
    ftruncateSync(handle.fd, size);
  }

  async fsync(fh: number): Promise<void> {
    const handle = this.#current(fh);
    if (!handle.inode.upper) return;
    if (!handle.inode.isMetacopy) return fsyncAsync(handle.fd);
    const fd = openUpper(this.#core, handle.inode, O_RDONLY);
    try {
      await fsyncAsync(fd);
    } finally {
      closeFd(fd);
    }
  }

  fallocate(fh: number, mode: number, offset: number, length: number): void {
    const handle = this.#current(fh);
    if (!handle.isWritable) throw new ErrnoError('EBADF');
    fallocate(handle.fd, mode, offset, length);
  }

  lseek(fh: number, offset: number, whence: number): number {
    return lseek(this.#current(fh).fd, offset, whence);
  }

  copyFileRange(fhIn: number, offsetIn: number, fhOut: number, offsetOut: number, length: number): number {
    const source = this.#current(fhIn);
    const target = this.#current(fhOut);
    if (!target.isWritable) throw new ErrnoError('EBADF');
    return copyFileRange(source.fd, offsetIn, target.fd, offsetOut, Math.min(length, COPY_STEP_BYTES));
  }

  release(fh: number): void {
    const handle = this.#handles.get(fh);
    if (handle === undefined) return;
    this.#handles.delete(fh);
    closeFd(handle.fd);
    handle.inode.handles--;
    this.#core.dropIfUnused(handle.inode);
  }

  close(): void {
    for (const handle of this.#handles.values()) closeFd(handle.fd);
    this.#handles.clear();
  }

  /** What opening needs first. `lower` is set when the content is the lower layer's and must be asked for there. */
  #prepare(
    ino: number,
    flags: number,
    ctx: CallContext,
  ): { inode: Inode; lower: LayerEntry | undefined; version: number; fd: number } {
    const core = this.#core;
    const inode = core.inode(ino);
    if (inode.directory !== undefined) throw new ErrnoError('EISDIR');
    if (inode.type === constants.S_IFLNK) throw new ErrnoError('ELOOP');
    const writable = (flags & O_ACCMODE) !== O_RDONLY;
    if ((flags & O_TRUNC) !== 0) {
      if (inode.copyUp !== undefined) need(inode.copyUp);
      discardContent(core, inode);
      if (ctx.uid !== 0) clearSetId(core, inode);
    } else if (writable) {
      copyUpContent(core, inode, ctx);
    }
    if (!inode.upper || inode.isMetacopy)
      return { inode, lower: inode.lower, version: inode.version, fd: -1 };
    const fd = openUpper(core, inode, flags & BACKING_FLAGS);
    return { inode, lower: undefined, version: inode.version, fd };
  }

  #add(inode: Inode, flags: number, fd: number, version: number): OpenedFile {
    const fh = this.#next++;
    this.#handles.set(fh, new FileHandle(inode, flags, fd, version));
    inode.handles++;
    return { fh, keepCache: true };
  }
}

/** A synchronous write waits for the disk, so it does that in the thread pool. */
async function writeDurably(fd: number, data: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < data.length) {
    const { bytesWritten } = await writeAsync(fd, data, done, data.length - done, position + done);
    done += bytesWritten;
  }
  return done;
}
