// The filesystem contract as libfuse's path based interface asks for it.
//
// Removed files that are open. libfuse renames such a file to a made-up name (`.fuse_hidden...`) beside it, and removes
// that when it is closed. Here that rename removes the file at once, as everybody expects, and the made-up path leads to
// the nameless inode until then; so nothing shows in listings, and nothing is left after a crash.
import { constants } from 'node:fs';
import { afterwards } from '../../util/afterwards.ts';
import { chain } from '../../util/chain.ts';
import { ErrnoError } from '../../util/errno.ts';
import type { Awaitable } from '../../util/types.ts';
import type {
  AttributeChanges,
  Attributes,
  CallContext,
  Entry,
  Filesystem,
  FilesystemStatistics,
  KernelNotifier,
} from '../filesystem.ts';
import { HiddenFiles } from './hidden-files.ts';
import { InodeReferences } from './inode-references.ts';
import { isHiddenName, splitPath, toBytes, toText } from './names.ts';
import { OpenFiles, type OpenFile } from './open-files.ts';
import { PathCache } from './path-cache.ts';

const ROOT = '/';
const ROOT_INO = 1;
const PERMISSION_BITS = 0o7777;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const { S_IXGRP } = constants;
const NAME_MAX = 255;
const NO_OPTIONS = 0;
/** Paths whose inode is remembered. */
const MAX_PATHS = 16_384;
const NO_NAME: NameRefusal = () => undefined;

/** Told of a name in a folder that cannot be passed on. */
export type NameRefusal = (folder: string, name: string) => void;

/** An entry of a folder. */
export interface ListedName {
  readonly name: string;
  readonly ino: number;
  /** Type bits. */
  readonly type: number;
}

/** A filesystem by path. Failures are those of the filesystem; EILSEQ for what is no UTF-8. */
export class PathFilesystem {
  readonly #filesystem: Filesystem;
  readonly #references: InodeReferences;
  readonly #paths: PathCache;
  readonly #files = new OpenFiles();
  readonly #hidden: HiddenFiles;
  readonly #onRefusal: NameRefusal;

  constructor(filesystem: Filesystem, onRefusal: NameRefusal = NO_NAME) {
    this.#filesystem = filesystem;
    this.#onRefusal = onRefusal;
    this.#references = new InodeReferences(filesystem);
    this.#paths = new PathCache(this.#references, MAX_PATHS);
    this.#hidden = new HiddenFiles(this.#references);
  }

  /** What is in use: open files, removed ones among them, and inodes that the filesystem must not forget. */
  get held(): { files: number; hidden: number; inodes: number } {
    return { files: this.#files.size, hidden: this.#hidden.size, inodes: this.#references.size };
  }

  /** What the filesystem says to the kernel: nobody passes that on, but paths may lead elsewhere now. */
  get notifier(): KernelNotifier {
    return { invalidateInode: () => undefined, invalidateEntry: () => this.#paths.clear() };
  }

  getattr(path: string, ctx: CallContext): Awaitable<Attributes> {
    const hidden = this.#hidden.find(path);
    if (hidden === undefined) {
      return this.#at(path, ctx, (ino) => this.#filesystem.getattr(ino, undefined, ctx));
    }
    // libfuse takes one off for the name that it made up.
    return chain(this.#filesystem.getattr(hidden, undefined, ctx), (attributes) => ({
      ...attributes,
      nlink: attributes.nlink > 0 ? attributes.nlink + 1 : 0,
    }));
  }

  chmod(path: string, mode: number, ctx: CallContext): Awaitable<void> {
    return this.#setattr(path, { mode: mode & PERMISSION_BITS }, ctx);
  }

  /** Absent ids stay. */
  chown(path: string, uid: number | undefined, gid: number | undefined, ctx: CallContext): Awaitable<void> {
    return this.#setattr(
      path,
      { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) },
      ctx,
    );
  }

  /** Sets both times, in ms since 1970. */
  utimens(path: string, atimeMs: number, mtimeMs: number, ctx: CallContext): Awaitable<void> {
    return this.#setattr(path, { atime: toTimestamp(atimeMs), mtime: toTimestamp(mtimeMs) }, ctx);
  }

  truncate(path: string, size: number, ctx: CallContext): Awaitable<void> {
    return this.#setattr(path, { size }, ctx);
  }

  ftruncate(handle: number, size: number, ctx: CallContext): Awaitable<void> {
    const { ino, fh } = this.#file(handle);
    return chain(this.#filesystem.setattr(ino, { size, fh }, ctx), () => undefined);
  }

  readlink(path: string, ctx: CallContext): Awaitable<string> {
    return this.#at(path, ctx, (ino) =>
      chain(this.#filesystem.readlink(ino, ctx), (target) => {
        const text = toText(target.toString('latin1'));
        if (text === undefined) throw new ErrnoError('EILSEQ');
        return text;
      }),
    );
  }

  mknod(path: string, mode: number, rdev: number, ctx: CallContext): Awaitable<void> {
    return this.#add(path, ctx, (parent, name) => this.#filesystem.mknod(parent, name, mode, rdev, ctx));
  }

  mkdir(path: string, mode: number, ctx: CallContext): Awaitable<void> {
    return this.#add(path, ctx, (parent, name) =>
      this.#filesystem.mkdir(parent, name, mode & PERMISSION_BITS, ctx),
    );
  }

  symlink(target: string, path: string, ctx: CallContext): Awaitable<void> {
    const bytes = Buffer.from(toBytes(target), 'latin1');
    return this.#add(path, ctx, (parent, name) => this.#filesystem.symlink(parent, name, bytes, ctx));
  }

  link(existing: string, path: string, ctx: CallContext): Awaitable<void> {
    return this.#at(existing, ctx, (ino) =>
      this.#add(path, ctx, (parent, name) => this.#filesystem.link(ino, parent, name, ctx)),
    );
  }

  unlink(path: string, ctx: CallContext): Awaitable<void> {
    if (this.#hidden.remove(path)) return undefined;
    return this.#in(path, ctx, (parent, name) =>
      chain(this.#filesystem.unlink(parent, name, ctx), () => this.#paths.delete(path)),
    );
  }

  rmdir(path: string, ctx: CallContext): Awaitable<void> {
    return this.#in(path, ctx, (parent, name) =>
      chain(this.#filesystem.rmdir(parent, name, ctx), () => {
        this.#paths.delete(path);
        this.#hidden.removeFolder(path);
      }),
    );
  }

  rename(from: string, to: string, ctx: CallContext): Awaitable<void> {
    if (isHiddenName(splitPath(to).name)) return this.#hide(from, to, ctx);
    return this.#in(from, ctx, (parent, name) =>
      this.#in(to, ctx, (newParent, newName) =>
        chain(this.#filesystem.rename(parent, name, newParent, newName, 0, ctx), () => {
          this.#paths.deleteTree(from);
          this.#paths.delete(to);
          this.#hidden.moveFolder(from, to);
        }),
      ),
    );
  }

  /** Returns a handle. `flags` as for open(2). */
  open(path: string, flags: number, ctx: CallContext): Awaitable<number> {
    // The kernel gives the position of an append; at the end of a file it is asked for the size first.
    const wanted = flags & ~(constants.O_APPEND | constants.O_CREAT | constants.O_EXCL);
    return chain(this.#hold(path, ctx), (ino) => {
      let file: OpenFile | undefined;
      let handle: number | undefined;
      return afterwards(
        () =>
          chain(this.#filesystem.open(ino, wanted, ctx), ({ fh }) => {
            file = { ino, fh };
            return chain(this.#clearSetId(file, wanted, ctx), () => (handle = this.#files.add({ ino, fh })));
          }),
        // An open file goes on holding its inode.
        () => {
          if (handle !== undefined) return;
          if (file !== undefined) this.#filesystem.release(file.fh);
          this.#references.drop(ino);
        },
      );
    });
  }

  /** Makes a file and opens it for reading and writing, whatever the caller may do with it: the kernel sees to that. */
  create(path: string, mode: number, ctx: CallContext): Awaitable<number> {
    const flags = constants.O_RDWR;
    return this.#in(path, ctx, (parent, name) =>
      chain(
        this.#filesystem.create(parent, name, mode & PERMISSION_BITS, flags, ctx),
        ({ entry, file: { fh } }) => {
          const ino = inodeOf(entry);
          this.#references.take(ino);
          this.#paths.put(path, ino, false);
          return this.#files.add({ ino, fh });
        },
      ),
    );
  }

  read(handle: number, target: Uint8Array, position: number, ctx: CallContext): Awaitable<number> {
    const { ino, fh } = this.#file(handle);
    return this.#filesystem.read(ino, fh, target, position, ctx);
  }

  write(handle: number, data: Uint8Array, position: number, ctx: CallContext): Awaitable<number> {
    const { ino, fh } = this.#file(handle);
    // The kernel syncs (O_SYNC) and clears set-id bits with requests of their own here.
    return this.#filesystem.write(ino, fh, data, position, NO_OPTIONS, ctx);
  }

  fsync(handle: number, dataOnly: boolean, ctx: CallContext): Awaitable<void> {
    const { ino, fh } = this.#file(handle);
    return this.#filesystem.fsync(ino, fh, dataOnly, ctx);
  }

  release(handle: number): void {
    const file = this.#files.remove(handle);
    if (file === undefined) return;
    this.#filesystem.release(file.fh);
    this.#references.drop(file.ino);
    this.#hidden.closed(file.ino, (ino) => this.#files.isOpen(ino));
  }

  /** The whole folder, `.` and `..` included; names that are no UTF-8 are left out, and reported. */
  readdir(path: string, ctx: CallContext): Awaitable<ListedName[]> {
    const listed: ListedName[] = [];
    const add = (bytes: string, ino: number, type: number): boolean => {
      const name = toText(bytes);
      if (name === undefined) this.#onRefusal(path, bytes);
      else listed.push({ name, ino, type });
      return true;
    };
    const sink = {
      add,
      addEntry: (bytes: string, entry: Entry): boolean => {
        this.#filesystem.forget(inodeOf(entry), 1);
        return add(bytes, entry.attributes.ino, entry.attributes.mode & constants.S_IFMT);
      },
    };
    return this.#at(path, ctx, (ino) => chain(this.#filesystem.readdir(ino, 0, sink, ctx), () => listed));
  }

  fsyncdir(path: string, dataOnly: boolean, ctx: CallContext): Awaitable<void> {
    return this.#at(path, ctx, (ino) => this.#filesystem.fsyncdir(ino, dataOnly, ctx));
  }

  getxattr(path: string, name: string, ctx: CallContext): Awaitable<Buffer> {
    const bytes = toBytes(name);
    return this.#at(path, ctx, (ino) => this.#filesystem.getxattr(ino, bytes, ctx));
  }

  /** Names in bytes (latin1). */
  listxattr(path: string, ctx: CallContext): Awaitable<string[]> {
    return this.#at(path, ctx, (ino) => this.#filesystem.listxattr(ino, ctx));
  }

  setxattr(path: string, name: string, value: Buffer, flags: number, ctx: CallContext): Awaitable<void> {
    const bytes = toBytes(name);
    return this.#at(path, ctx, (ino) => this.#filesystem.setxattr(ino, bytes, value, flags, ctx));
  }

  removexattr(path: string, name: string, ctx: CallContext): Awaitable<void> {
    const bytes = toBytes(name);
    return this.#at(path, ctx, (ino) => this.#filesystem.removexattr(ino, bytes, ctx));
  }

  statfs(ctx: CallContext): Awaitable<FilesystemStatistics> {
    return this.#filesystem.statfs(ROOT_INO, ctx);
  }

  /** Closes what is open and gives all references back. For the end: nothing may be asked afterwards. */
  close(): void {
    for (const handle of this.#files.handles()) this.release(handle);
    this.#hidden.clear();
    this.#paths.clear();
  }

  /**
   * Takes set-id bits away from a file that was truncated by opening it. The kernel leaves that to us, and who may keep
   * them is not known here.
   */
  #clearSetId({ ino, fh }: OpenFile, flags: number, ctx: CallContext): Awaitable<unknown> {
    if ((flags & constants.O_TRUNC) === 0) return undefined;
    return chain(this.#filesystem.getattr(ino, fh, ctx), ({ mode }) => {
      const kept = mode & ~(S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID));
      return kept === mode
        ? undefined
        : this.#filesystem.setattr(ino, { mode: kept & PERMISSION_BITS, fh }, ctx);
    });
  }

  #file(handle: number): OpenFile {
    const file = this.#files.get(handle);
    if (file === undefined) throw new ErrnoError('EBADF');
    return file;
  }

  /** Removes a file that is open; libfuse calls it by the made-up path from now on. */
  #hide(path: string, madeUp: string, ctx: CallContext): Awaitable<void> {
    return chain(this.#hold(path, ctx), (ino) => {
      let removed = false;
      return afterwards(
        () =>
          chain(this.unlink(path, ctx), () => {
            removed = true;
            this.#hidden.add(madeUp, ino);
          }),
        () => {
          if (!removed) this.#references.drop(ino);
        },
      );
    });
  }

  #setattr(path: string, changes: AttributeChanges, ctx: CallContext): Awaitable<void> {
    return this.#at(path, ctx, (ino) => chain(this.#filesystem.setattr(ino, changes, ctx), () => undefined));
  }

  /** Makes an object under a path. */
  #add(
    path: string,
    ctx: CallContext,
    make: (parent: number, name: string) => Awaitable<Entry>,
  ): Awaitable<void> {
    return this.#in(path, ctx, (parent, name) =>
      chain(make(parent, name), (entry) => {
        const ino = inodeOf(entry);
        this.#references.take(ino);
        this.#paths.put(path, ino, isFolder(entry));
        this.#references.drop(ino);
      }),
    );
  }

  /** Uses the inode of a path. */
  #at<T>(path: string, ctx: CallContext, use: (ino: number) => Awaitable<T>): Awaitable<T> {
    return chain(this.#hold(path, ctx), (ino) =>
      afterwards(
        () => use(ino),
        () => this.#references.drop(ino),
      ),
    );
  }

  /** Uses the folder of a path, and the name in it. Throws ENAMETOOLONG. */
  #in<T>(path: string, ctx: CallContext, use: (parent: number, name: string) => Awaitable<T>): Awaitable<T> {
    const { folder, name } = splitPath(path);
    const bytes = toBytes(name);
    if (bytes.length > NAME_MAX) throw new ErrnoError('ENAMETOOLONG');
    return this.#at(folder, ctx, (parent) => use(parent, bytes));
  }

  /** The inode of a path; the caller becomes a holder of it. */
  #hold(path: string, ctx: CallContext): Awaitable<number> {
    if (path === ROOT) return ROOT_INO;
    const known = this.#paths.take(path);
    if (known !== undefined) return known;
    const hidden = this.#hidden.find(path);
    if (hidden !== undefined) {
      this.#references.hold(hidden);
      return hidden;
    }
    const { generation } = this.#paths;
    return this.#in(path, ctx, (parent, name) =>
      chain(this.#filesystem.lookup(parent, name, ctx), (entry) => {
        const ino = inodeOf(entry);
        this.#references.take(ino);
        if (generation === this.#paths.generation) this.#paths.put(path, ino, isFolder(entry));
        return ino;
      }),
    );
  }
}

const inodeOf = (entry: Entry): number => entry.node ?? entry.attributes.ino;

const isFolder = ({ attributes }: Entry): boolean =>
  (attributes.mode & constants.S_IFMT) === constants.S_IFDIR;

function toTimestamp(ms: number): { seconds: number; nanoseconds: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 };
}
