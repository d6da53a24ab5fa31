// The union of a read-only lazy layer and a writable folder, as a filesystem: each operation in the file of its group.
import { constants, fsync, statfsSync } from 'node:fs';
import { promisify } from 'node:util';
import type {
  AttributeChanges,
  Attributes,
  CallContext,
  DirectorySink,
  Entry,
  FilePosition,
  Filesystem,
  FilesystemStatistics,
  KernelNotifier,
  OpenedFile,
} from '../fuse/filesystem.ts';
import type { Layer, LayerEntry } from '../layers/layer.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { closeFd, openAt, readlinkAt } from '../util/syscall.ts';
import type { Awaitable } from '../util/types.ts';
import { type MakeRoom, withRoom } from './full-disk.ts';
import { getxattr, listxattr, removexattr, setattr, setxattr } from './attributes.ts';
import { adoptRoot } from './copy-up.ts';
import { OverlayCore, TTL_SECONDS } from './core.ts';
import { link, mkdir, mknod, symlink } from './create.ts';
import { FileHandles } from './handles.ts';
import { Control } from './control.ts';
import type { FilePolicy, OverlayControl, OverlayListener } from './file-policy.ts';
import type { Inode } from './inode.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { attempt, orInterrupted } from './pending.ts';
import { isPolicyAttribute, policyAttribute, policyAttributes } from './policy.ts';
import { readdir, readdirplus } from './readdir.ts';
import { type FindPathsInUse, Reclaimer } from './reclaim.ts';
import { rmdir, unlink } from './remove.ts';
import { rename } from './rename.ts';
import { UpperLayer } from './upper.ts';

const fsyncAsync: (fd: number) => Promise<void> = promisify(fsync);

/** What an overlay is made of. */
export interface OverlayOptions {
  /** The read-only lower layer. */
  readonly layer: Layer;
  /** Absolute path of the writable folder, in overlayfs's format; made when missing. */
  readonly upperDir: string;
  /** Absolute path of a folder on the same filesystem, for objects in the making; emptied at the start. */
  readonly workDir: string;
  /** Owner of what the lower layer provides. */
  readonly uid: number;
  readonly gid: number;
  /** Tells the kernel of changes that it did not make itself. */
  readonly notifier?: KernelNotifier;
  /** The budget that it shares with others; default: none, so that the kernel alone decides what is kept. */
  readonly memory?: MemoryBudget;
  /** For kernels that cannot judge themselves what may be forgotten. */
  readonly findPathsInUse?: FindPathsInUse;
  /** Called when the disk of the upper folder is full, before an operation fails for that. */
  readonly makeRoom?: MakeRoom;
  /** Who may write which files, and what else is known of them; default: nothing is. */
  readonly policy?: FilePolicy;
  /** Hears of changes to files of certain names. */
  readonly listener?: OverlayListener;
}

/** An overlay, and how to tell it of changes around it. */
export interface OverlayFilesystem extends Filesystem {
  readonly control: OverlayControl;
}

/** Opens an overlay. Throws ErrnoError when the folders cannot hold one (see UpperLayer.open). */
export function createOverlay(options: OverlayOptions): OverlayFilesystem {
  const upper = UpperLayer.open(options.upperDir, options.workDir);
  const owner = { uid: options.uid, gid: options.gid };
  try {
    const { layer, notifier, memory, policy, listener } = options;
    const core = new OverlayCore(layer, upper, { owner, notifier, events: memory, policy, listener });
    adoptRoot(core, core.inode(1));
    return new Overlay(core, joinBudget(core, options), options.makeRoom);
  } catch (error) {
    upper.close();
    throw error;
  }
}

/** Lets a budget take memory back; returns how to end that. */
function joinBudget(core: OverlayCore, { memory, findPathsInUse }: OverlayOptions): () => void {
  const reclaimer = new Reclaimer(core, findPathsInUse);
  const { inodes } = core;
  return (
    memory?.join({
      get inodes() {
        return inodes.size;
      },
      get forgotten() {
        return inodes.forgotten;
      },
      get byteLength() {
        return inodes.byteLength;
      },
      reclaim: (bytes) => reclaimer.reclaim(bytes),
    }) ?? (() => undefined)
  );
}

class Overlay implements OverlayFilesystem {
  readonly negativeTtl: number = TTL_SECONDS;
  readonly attributesTtl: number = TTL_SECONDS;
  readonly #core: OverlayCore;
  readonly #files: FileHandles;

  readonly control: OverlayControl;

  readonly #leaveBudget: () => void;
  readonly #makeRoom: MakeRoom | undefined;

  constructor(core: OverlayCore, leaveBudget: () => void, makeRoom: MakeRoom | undefined) {
    this.#core = core;
    this.#makeRoom = makeRoom;
    this.#leaveBudget = leaveBudget;
    this.#files = new FileHandles(core, makeRoom);
    this.control = new Control(core, (inode) => this.#files.renew(inode));
  }

  lookup(parent: number, name: string, ctx: CallContext): Awaitable<Entry> {
    return attempt(ctx, () => {
      const core = this.#core;
      const directory = core.directory(parent);
      if (name === '.') return core.entry(directory, ctx);
      if (name === '..') return core.entry(directory.parent ?? directory, ctx);
      return core.lookup(directory, name, ctx);
    });
  }

  forget(ino: number, count: number): void {
    this.#core.forget(ino, count);
  }

  getattr(ino: number, _fh: number | undefined, ctx: CallContext): Awaitable<Attributes> {
    return attempt(ctx, () => this.#core.attributesOf(ino, ctx));
  }

  setattr(ino: number, changes: AttributeChanges, ctx: CallContext): Awaitable<Attributes> {
    return this.#change(ctx, () => setattr(this.#core, this.#files, this.#core.inode(ino), changes, ctx));
  }

  readlink(ino: number, ctx: CallContext): Awaitable<Buffer> {
    const unchanged = this.#core.unchangedFile(ino);
    if (unchanged !== undefined) return this.#core.layer.readlink(requireLink(unchanged), ctx);
    const inode = this.#core.inode(ino);
    if (inode.type !== constants.S_IFLNK) throw new ErrnoError('EINVAL');
    if (!inode.upper) return this.#core.layer.readlink(inode.lower as LayerEntry, ctx);
    const { dirfd, name } = this.#core.upper.place(inode);
    return readlinkAt(dirfd, name);
  }

  mknod(parent: number, name: string, mode: number, rdev: number, ctx: CallContext): Awaitable<Entry> {
    return this.#change(ctx, () => mknod(this.#core, this.#core.directory(parent), name, mode, rdev, ctx));
  }

  mkdir(parent: number, name: string, mode: number, ctx: CallContext): Awaitable<Entry> {
    return this.#change(ctx, () => mkdir(this.#core, this.#core.directory(parent), name, mode, ctx));
  }

  symlink(parent: number, name: string, target: Buffer, ctx: CallContext): Awaitable<Entry> {
    return this.#change(ctx, () => symlink(this.#core, this.#core.directory(parent), name, target, ctx));
  }

  link(ino: number, parent: number, name: string, ctx: CallContext): Awaitable<Entry> {
    return attempt(ctx, () =>
      link(this.#core, this.#core.inode(ino), this.#core.directory(parent), name, ctx),
    );
  }

  unlink(parent: number, name: string, ctx: CallContext): Awaitable<void> {
    return this.#change(ctx, () => unlink(this.#core, this.#core.directory(parent), name, ctx));
  }

  rmdir(parent: number, name: string, ctx: CallContext): Awaitable<void> {
    return attempt(ctx, () => rmdir(this.#core, this.#core.directory(parent), name, ctx));
  }

  rename(
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
    ctx: CallContext,
  ): Awaitable<void> {
    return this.#change(ctx, () => {
      const from = { parent: this.#core.directory(parent), name };
      const to = { parent: this.#core.directory(newParent), name: newName };
      rename(this.#core, from, to, flags, ctx);
    });
  }

  open(ino: number, flags: number, ctx: CallContext): Awaitable<OpenedFile> {
    return this.#files.open(ino, flags, ctx);
  }

  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): Awaitable<{ entry: Entry; file: OpenedFile }> {
    return withRoom(this.#makeRoom, () => {
      const created = attempt(ctx, () => ({
        result: this.#files.create(this.#core.directory(parent), name, mode, flags, ctx),
      }));
      return chain(created, ({ result }) => result);
    });
  }

  tmpfile(
    parent: number,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): Awaitable<{ entry: Entry; file: OpenedFile }> {
    return attempt(ctx, () => this.#files.tmpfile(this.#core.directory(parent), mode, flags, ctx));
  }

  read(ino: number, fh: number, target: Uint8Array, position: number, ctx: CallContext): Awaitable<number> {
    return this.#files.read(ino, fh, target, position, ctx);
  }

  write(
    ino: number,
    fh: number,
    data: Uint8Array,
    position: number,
    options: number,
    ctx: CallContext,
  ): Awaitable<number> {
    return this.#files.write(ino, fh, data, position, options, ctx);
  }

  fsync(ino: number, fh: number, dataOnly: boolean, ctx: CallContext): Promise<void> {
    return orInterrupted(this.#files.fsync(ino, fh, dataOnly, ctx), ctx.signal);
  }

  fallocate(
    ino: number,
    fh: number,
    mode: number,
    offset: number,
    length: number,
    ctx: CallContext,
  ): Awaitable<void> {
    return withRoom(this.#makeRoom, () => this.#files.fallocate(ino, fh, mode, offset, length, ctx));
  }

  lseek(ino: number, fh: number, offset: number, whence: number, ctx: CallContext): Awaitable<number> {
    return this.#files.lseek(ino, fh, offset, whence, ctx);
  }

  copyFileRange(
    source: FilePosition,
    target: FilePosition,
    length: number,
    ctx: CallContext,
  ): Awaitable<number> {
    return this.#files.copyFileRange(source, target, length, ctx);
  }

  release(fh: number): void {
    this.#files.release(fh);
  }

  readdir(ino: number, offset: number, sink: DirectorySink, ctx: CallContext): Awaitable<void> {
    return attempt(ctx, () => {
      const inode = this.#folder(ino);
      if (inode !== undefined) readdir(this.#core, inode, offset, sink, ctx);
    });
  }

  readdirplus(ino: number, offset: number, sink: DirectorySink, ctx: CallContext): Awaitable<void> {
    const core = this.#core;
    const ready = attempt(ctx, () => {
      const inode = this.#folder(ino);
      return { inode, sizes: inode === undefined || offset > 0 ? undefined : this.#loadSizes(inode, ctx) };
    });
    return chain(ready, ({ inode, sizes }) => {
      if (inode === undefined) return undefined;
      const list = (): Awaitable<void> => attempt(ctx, () => readdirplus(core, inode, offset, sink, ctx));
      return sizes === undefined ? list() : sizes.then(list);
    });
  }

  async fsyncdir(ino: number): Promise<void> {
    const inode = this.#core.inode(ino);
    if (inode.directory === undefined || !inode.upper || (inode.parent === undefined && ino !== 1)) return;
    const fd = openAt(this.#core.upper.folder(inode), '.', constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await fsyncAsync(fd);
    } finally {
      closeFd(fd);
    }
  }

  getxattr(ino: number, name: string): Buffer {
    const core = this.#core;
    const madeUp = isPolicyAttribute(core, name) ? policyAttribute(core, ino, name) : undefined;
    if (madeUp !== undefined) return madeUp;
    // Programs ask for attributes of all that they list.
    if (core.unchangedFile(ino) !== undefined) throw new ErrnoError('ENODATA');
    return getxattr(core, core.inode(ino), name);
  }

  listxattr(ino: number): string[] {
    const core = this.#core;
    const madeUp = policyAttributes(core, ino);
    if (core.unchangedFile(ino) !== undefined) return [...madeUp];
    return [...new Set([...listxattr(core, core.inode(ino)), ...madeUp])];
  }

  setxattr(ino: number, name: string, value: Buffer, flags: number, ctx: CallContext): Awaitable<void> {
    return attempt(ctx, () => setxattr(this.#core, this.#core.inode(ino), name, value, flags, ctx));
  }

  removexattr(ino: number, name: string): void {
    removexattr(this.#core, this.#core.inode(ino), name);
  }

  statfs(): FilesystemStatistics {
    const disk = statfsSync(`/proc/self/fd/${this.#core.upper.workFd}`);
    return {
      blockSize: disk.bsize,
      blocks: disk.blocks,
      blocksFree: disk.bfree,
      blocksAvailable: disk.bavail,
      files: disk.files,
      filesFree: disk.ffree,
      nameMax: 255,
    };
  }

  async destroy(): Promise<void> {
    this.#leaveBudget();
    this.#files.close();
    await this.#core.close();
  }

  /** As `attempt`, for what may need space on the disk. */
  #change<T>(ctx: CallContext, operation: () => T): Awaitable<T> {
    return withRoom(this.#makeRoom, () => attempt(ctx, operation));
  }

  /** A folder to list; one that was removed while it is open has no entries, not even `.`. */
  #folder(ino: number): Inode | undefined {
    const inode = this.#core.inode(ino);
    if (inode.directory === undefined) throw new ErrnoError('ENOTDIR');
    return inode.parent === undefined && ino !== 1 ? undefined : inode;
  }

  /** The sizes that a listing with attributes shows, if they must be waited for. */
  #loadSizes(inode: Inode, ctx: CallContext): Promise<void> | undefined {
    const listing = this.#core.listing(inode, ctx);
    if (listing === undefined) return undefined;
    const loading = this.#core.layer.loadSizes(listing, ctx);
    // The listing does without what could not be learned.
    return loading instanceof Promise ? loading.catch(() => undefined) : undefined;
  }
}

function requireLink(entry: LayerEntry): LayerEntry {
  if ((entry.mode & constants.S_IFMT) !== constants.S_IFLNK) throw new ErrnoError('EINVAL');
  return entry;
}
