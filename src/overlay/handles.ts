// Open files: opening, reading, writing, and what else works on content.
import { constants, fstatSync, ftruncateSync } from 'node:fs';
import {
  type CallContext,
  type Entry,
  type FilePosition,
  type OpenedFile,
  WRITE_CLEAR_SET_ID,
  WRITE_DSYNC,
  WRITE_SYNC,
} from '../fuse/filesystem.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { closeFd, copyFileRange, fallocate, lseek, O_TMPFILE, openAt } from '../util/syscall.ts';
import type { Awaitable } from '../util/types.ts';
import { type MakeRoom, withRoom } from './full-disk.ts';
import { type Content, Contents } from './contents.ts';
import { discardContent } from './copy-up.ts';
import type { OverlayCore } from './core.ts';
import { makeObject, makeUnnamed } from './create.ts';
import { fdatasyncAsync, fsyncAsync, readAll, writeAll, writeDurably } from './file-io.ts';
import type { Inode } from './inode.ts';
import { openUpper } from './open-upper.ts';
import { isWorthPassing, isWriting, sizeOf } from './large-files.ts';
import { OpenPolicy } from './open-policy.ts';
import { attempt, need } from './pending.ts';
import { allowWrite, checkWrite, checkWriteOnce } from './policy.ts';
import { clearSetId } from './set-id.ts';
import { partFromReaders, requireUnchanged } from './split.ts';
import { SpoiledReads } from './spoiled-reads.ts';

const { O_RDONLY, O_RDWR, O_APPEND, O_TRUNC, O_CREAT, O_EXCL, O_SYNC, O_DSYNC } = {
  ...constants,
};
const SEEK_HOLE = 4;
/** A copy inside the daemon is made in steps, so that others get their turn. Bytes. */
const COPY_STEP_BYTES = 16 * 1024 * 1024;

/** How long the kernel may not have heard of another content. Milliseconds. */
const RENEWED_MS = 1000;
const PAGE_BYTES = 4096;

/** Where the last page of so many bytes ends. */
const pagesOf = (size: number): number => Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;

interface FileHandle {
  readonly inode: Inode;
  readonly flags: number;
  /** The content that the kernel uses by itself for this open file. */
  readonly through: Content | undefined;
}

/** The open files of one overlay. */
export class FileHandles {
  readonly #core: OverlayCore;
  readonly #contents: Contents;
  readonly #spoiled = new SpoiledReads();
  readonly #policy: OpenPolicy;
  readonly #handles = new Map<number, FileHandle>();
  readonly #makeRoom: MakeRoom | undefined;
  #next = 1;
  /** Files whose lower content became another one: the size of the one before, and when. */
  #renewed: WeakMap<Inode, { readonly size: number; readonly atMs: number }> | undefined;

  constructor(core: OverlayCore, makeRoom: MakeRoom | undefined) {
    this.#core = core;
    this.#makeRoom = makeRoom;
    this.#contents = new Contents(core);
    this.#policy = new OpenPolicy(core.notifier);
    this.#contents.onSpoiled = (inode) => this.#spoiled.spoil(inode.ino, this.#handlesOf(inode));
    core.inodes.watch = {
      dropped: (inode) => this.#contents.drop(inode),
      // Whatever was open of an inode that the kernel forgets was closed, also where it does not say so any more.
      forgotten: (inode) => {
        if (this.#policy.omits) this.#releaseAll(inode);
      },
    };
  }

  open(ino: number, flags: number, ctx: CallContext): Awaitable<OpenedFile> {
    const inode = attempt(ctx, () => this.#prepare(ino, flags, ctx));
    return chain(inode, (inode) => {
      if (this.#policy.shallOmit(sizeOf(this.#core, inode))) throw new ErrnoError('ENOSYS');
      return this.#open(inode, flags, ctx);
    });
  }

  /** Opens what is prepared. */
  #open(inode: Inode, flags: number, ctx: CallContext): Awaitable<OpenedFile> {
    // That it cannot be fetched is better told now than by a read.
    const isFetched = isWriting(flags) || (inode.upper && !inode.isMetacopy);
    if (isFetched) return this.#add(inode, flags);
    return chain(this.#contents.readable(inode, ctx), () => this.#add(inode, flags));
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
      return chain(this.#openExisting(existing, flags & ~O_CREAT, ctx), (file) => ({
        entry: core.entry(existing, ctx),
        file,
      }));
    }
    let fd = -1;
    let inode: Inode;
    try {
      inode = makeObject(
        core,
        parent,
        name,
        ctx,
        constants.S_IFREG | (mode & 0o7777),
        (dirfd, at, permissions) => {
          // Open for both: a mode that allows its maker less could not be opened again for the other.
          fd = openAt(dirfd, at, O_RDWR | O_CREAT | O_EXCL, permissions);
        },
      );
    } catch (error) {
      // It could be made, but not be given to its owner.
      if (fd >= 0) closeFd(fd);
      throw error;
    }
    return this.#made(inode, fd, flags, ctx);
  }

  tmpfile(parent: Inode, mode: number, flags: number, ctx: CallContext): { entry: Entry; file: OpenedFile } {
    const { inode, fd } = makeUnnamed(this.#core, parent, mode & 0o7777, ctx, (workFd, permissions) =>
      openAt(workFd, '.', O_RDWR | O_TMPFILE, permissions),
    );
    return this.#made(inode, fd, flags, ctx);
  }

  #made(inode: Inode, fd: number, flags: number, ctx: CallContext): { entry: Entry; file: OpenedFile } {
    this.#contents.keep(inode, fd, true);
    allowWrite(this.#core, inode);
    const entry = this.#core.entry(inode, ctx);
    // A kernel that opens files without asking still tells of those it makes; but it would not release them.
    if (this.#policy.omits) return { entry, file: { fh: 0, keepCache: true } };
    this.#policy.shallOmit(0);
    return { entry, file: this.#add(inode, flags) };
  }

  read(ino: number, fh: number, target: Uint8Array, position: number, ctx: CallContext): Awaitable<number> {
    this.#spoiled.check(ino, fh);
    const content = this.#contents.readable(this.#inode(ino, fh), ctx);
    // Not with `chain`, which would make a function for each call.
    if (content instanceof Promise)
      return content.then((arrived) => this.#readFrom(arrived, target, position, ctx));
    return this.#readFrom(content, target, position, ctx);
  }

  #readFrom(content: Content, target: Uint8Array, position: number, ctx: CallContext): Awaitable<number> {
    const ready = this.#contents.ready(content, position, target.length, ctx);
    if (ready === undefined) {
      const count = readAll(content.fd, target, position);
      if (count < target.length && this.#renewed !== undefined) {
        this.#requireNoEarlyEnd(content.inode, position + count, position + target.length);
      }
      return count;
    }
    return this.#contents.during(content, async (fd) => {
      await ready;
      return readAll(fd, target, position);
    });
  }

  /**
   * A kernel that did not hear yet of a smaller content asks by the size of the one before, and would show zeros for what
   * is missing. What it was reading ahead it asks for again after an error, by the size that it knows then.
   */
  #requireNoEarlyEnd(inode: Inode, end: number, askedEnd: number): void {
    const before = this.#renewed?.get(inode);
    if (before === undefined || Date.now() - before.atMs > RENEWED_MS) return;
    if (askedEnd > pagesOf(end) && askedEnd <= pagesOf(before.size)) {
      throw new ErrnoError('EIO', 'the file became another one while it was read; open it again');
    }
  }

  write(
    ino: number,
    fh: number,
    data: Uint8Array,
    position: number,
    options: number,
    ctx: CallContext,
  ): Awaitable<number> {
    const flags = fh === 0 ? 0 : this.#get(fh).flags;
    return chain(
      // The inode is asked for with each attempt: without a handle, nothing else keeps it an object while this waits.
      withRoom(this.#makeRoom, () =>
        attempt(ctx, () => this.#contents.writable(this.#writing(ino, fh, ctx), ctx)),
      ),
      (content) => {
        if ((options & WRITE_CLEAR_SET_ID) !== 0) clearSetId(this.#core, content.inode);
        const at = (flags & O_APPEND) === 0 ? position : fstatSync(content.fd).size;
        const isDurable = (options & (WRITE_SYNC | WRITE_DSYNC)) !== 0 || (flags & (O_SYNC | O_DSYNC)) !== 0;
        if (!isDurable) {
          const count = writeAll(content.fd, data, at, this.#makeRoom);
          if (content.isWatched) this.#core.changes.written(content.inode);
          return count;
        }
        const dataOnly = (options & WRITE_SYNC) === 0 && (flags & O_SYNC) !== O_SYNC;
        return this.#contents.during(content, async (fd) => {
          const count = await writeDurably(fd, data, at, { dataOnly, makeRoom: this.#makeRoom });
          if (content.isWatched) this.#core.changes.written(content.inode);
          return count;
        });
      },
    );
  }

  /** Changes the size of the content; an open file may do so where the file's mode no longer allows it. */
  truncate(inode: Inode, fh: number | undefined, size: number, ctx: CallContext): void {
    if (fh !== undefined && !isWriting(this.#get(fh).flags)) throw new ErrnoError('EINVAL');
    partFromReaders(this.#core, inode, ctx);
    const { fd } = this.#contents.writable(inode, ctx);
    if (size === 0) this.#core.upper.keepName(inode);
    ftruncateSync(fd, size);
  }

  /** Empties the content, which is not fetched for that. */
  discard(inode: Inode, ctx: CallContext): void {
    partFromReaders(this.#core, inode, ctx);
    discardContent(this.#core, inode);
  }

  async fsync(ino: number, fh: number, dataOnly: boolean, ctx: CallContext): Promise<void> {
    const inode = this.#inode(ino, fh);
    if (!inode.upper) return;
    const sync = dataOnly ? fdatasyncAsync : fsyncAsync;
    if (!inode.isMetacopy) {
      // At once: a content that is not busy may be closed.
      await chain(this.#contents.readable(inode, ctx), (content) => this.#contents.during(content, sync));
      return;
    }
    const fd = openUpper(this.#core, inode, O_RDONLY);
    try {
      await sync(fd);
    } finally {
      closeFd(fd);
    }
  }

  fallocate(
    ino: number,
    fh: number,
    mode: number,
    offset: number,
    length: number,
    ctx: CallContext,
  ): Awaitable<void> {
    return attempt(ctx, () => {
      const inode = this.#writing(ino, fh, ctx);
      fallocate(this.#contents.writable(inode, ctx).fd, mode, offset, length);
      // The kernel does not say whether the caller may keep them.
      if (ctx.uid !== 0) clearSetId(this.#core, inode);
      this.#core.changes.written(inode);
    });
  }

  lseek(ino: number, fh: number, offset: number, whence: number, ctx: CallContext): Awaitable<number> {
    return chain(this.#contents.readable(this.#inode(ino, fh), ctx), ({ fd, arriving }) => {
      if (arriving === undefined || arriving.isComplete) return lseek(fd, offset, whence);
      // A part that is missing is no hole.
      if (offset >= arriving.size) throw new ErrnoError('ENXIO');
      return whence === SEEK_HOLE ? arriving.size : offset;
    });
  }

  copyFileRange(
    source: FilePosition,
    target: FilePosition,
    length: number,
    ctx: CallContext,
  ): Awaitable<number> {
    // Both are asked for after each wait, see `write`.
    const from = (): Inode => {
      this.#spoiled.check(source.ino, source.fh);
      return this.#inode(source.ino, source.fh);
    };
    const prepared = attempt(ctx, () => {
      from();
      this.#contents.writable(this.#writing(target.ino, target.fh, ctx), ctx);
    });
    return chain(prepared, () =>
      chain(this.#contents.readable(from(), ctx), (readable) => {
        const step = Math.min(length, COPY_STEP_BYTES);
        const copy = (fd: number): number => {
          // Waiting for the source may have closed it. It is in the upper layer by now.
          const to = this.#writing(target.ino, target.fh, ctx);
          const writable = this.#contents.writable(to, ctx);
          if (ctx.uid !== 0) clearSetId(this.#core, to);
          const count = copyFileRange(fd, source.offset, writable.fd, target.offset, step);
          this.#core.changes.written(to);
          return count;
        };
        const ready = this.#contents.ready(readable, source.offset, step, ctx);
        if (ready === undefined) return copy(readable.fd);
        return this.#contents.during(readable, async (fd) => {
          await ready;
          return copy(fd);
        });
      }),
    );
  }

  release(fh: number): void {
    const handle = this.#handles.get(fh);
    if (handle === undefined) return;
    this.#end(fh, handle);
    this.#core.dropIfUnused(handle.inode);
  }

  close(): void {
    this.#handles.clear();
    this.#contents.close();
  }

  /** What opening needs first. */
  #prepare(ino: number, flags: number, ctx: CallContext): Inode {
    const core = this.#core;
    const inode = core.inode(ino);
    if (inode.directory !== undefined) throw new ErrnoError('EISDIR');
    if (inode.type === constants.S_IFLNK) throw new ErrnoError('ELOOP');
    if (isWriting(flags) || (flags & O_TRUNC) !== 0) checkWrite(core, inode, ctx);
    // The content is copied up by the first write: what is opened for writing is often emptied next.
    if (isWriting(flags)) partFromReaders(core, inode, ctx);
    else requireUnchanged(core, inode);
    if ((flags & O_TRUNC) !== 0) {
      if (inode.copyUp !== undefined) need(inode.copyUp);
      discardContent(core, inode);
      if (ctx.uid !== 0) clearSetId(core, inode);
      core.changes.written(inode);
    }
    return inode;
  }

  #openExisting(inode: Inode, flags: number, ctx: CallContext): Awaitable<OpenedFile> {
    this.#prepare(inode.ino, flags, ctx);
    // Only an open may be refused with ENOSYS: the kernel would take it that there is no create.
    return this.#policy.omits ? { fh: 0, keepCache: true } : this.#open(inode, flags, ctx);
  }

  #add(inode: Inode, flags: number): OpenedFile {
    const fh = this.#next++;
    const through = this.#through(inode, flags);
    this.#handles.set(fh, { inode, flags, through });
    inode.handles++;
    if (through?.backingId === undefined) return { fh, keepCache: true };
    return { fh, keepCache: false, backingId: through.backingId };
  }

  /** The content, registered with the kernel, where this open file is to go by passthrough. */
  #through(inode: Inode, flags: number): Content | undefined {
    const { passthrough } = this.#policy;
    if (passthrough === undefined) return undefined;
    let content = inode.content;
    // Content that is about to move: who opens the file afterwards would get what it moved from, and write to it.
    if (inode.copyUp !== undefined) return undefined;
    // All open files of an inode go the same way.
    if (content === undefined || content.throughs === 0) {
      if (inode.handles > 0 || !isWorthPassing(this.#core, inode, flags)) return undefined;
      const isUpper = inode.upper && !inode.isMetacopy;
      if (content?.version !== inode.version) {
        if (!isUpper) return undefined;
        content = this.#contents.keep(inode, openUpper(this.#core, inode, O_RDONLY), false);
      }
      // The kernel would read what has not arrived.
      if (content.arriving?.isComplete === false) return undefined;
      content.registry = passthrough;
      content.backingId = passthrough.register(content.fd);
      if (content.backingId === undefined) return undefined;
    }
    content.throughs++;
    this.#policy.countThrough(1);
    return content;
  }

  #end(fh: number, { inode, flags, through }: FileHandle): void {
    this.#handles.delete(fh);
    this.#spoiled.released(fh);
    inode.handles--;
    if (through === undefined) return;
    this.#policy.countThrough(-1);
    through.throughs--;
    if (through.throughs === 0 && through.backingId !== undefined) {
      through.registry?.unregister(through.backingId);
      through.backingId = undefined;
    }
    // A mapping changes times behind the kernel's back.
    if (isWriting(flags)) this.#core.notifier?.invalidateInode(inode.ino, -1, 0);
  }

  #releaseAll(inode: Inode): void {
    for (const [fh, handle] of this.#handles) if (handle.inode === inode) this.#end(fh, handle);
  }

  #handlesOf(inode: Inode): number[] {
    return [...this.#handles].flatMap(([fh, handle]) => (handle.inode === inode ? [fh] : []));
  }

  #get(fh: number): FileHandle {
    const handle = this.#handles.get(fh);
    if (handle === undefined) throw new ErrnoError('EBADF');
    return handle;
  }

  /**
   * Lets go of a file's content in the lower layer, which is another one by now. The kernel goes on reading by itself
   * what it was handed, as long as it has that open.
   */
  renew(inode: Inode): void {
    inode.version++;
    const { content } = inode;
    if (content === undefined) return;
    this.#renewed ??= new WeakMap();
    const size = content.arriving?.size ?? fstatSync(content.fd).size;
    const known = this.#renewed.get(inode);
    const isRecent = known !== undefined && Date.now() - known.atMs <= RENEWED_MS;
    this.#renewed.set(inode, { size: isRecent ? Math.max(size, known.size) : size, atMs: Date.now() });
    if (content.throughs === 0) this.#contents.drop(inode);
  }

  /** The inode of an open file. */
  #inode(ino: number, fh: number): Inode {
    return fh === 0 ? this.#core.inode(ino) : this.#get(fh).inode;
  }

  /** The inode of a file that is open for writing. */
  #writing(ino: number, fh: number, ctx: CallContext): Inode {
    if (fh === 0) {
      const inode = this.#core.inode(ino);
      checkWriteOnce(this.#core, inode, ctx);
      return inode;
    }
    const { inode, flags } = this.#get(fh);
    if (!isWriting(flags)) throw new ErrnoError('EBADF');
    return inode;
  }
}
