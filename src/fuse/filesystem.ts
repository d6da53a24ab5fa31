// The filesystem contract: what a FUSE binding drives and what the overlay (and the in-memory reference) implements.
//
// Concepts
// --------
// Inode numbers. Every object has an inode number (`ino`, a positive integer below 2^53), which is both its FUSE node
// id and its `st_ino`. The root is 1. A number stays valid while the kernel holds references to it: each `Entry` that
// a method returns to the kernel counts one reference (`lookup`, `mknod`, `mkdir`, `symlink`, `link`, `create`, `tmpfile`,
// and each entry that a `readdirplus` sink accepted), and `forget` gives references back. An object without references
// may be dropped from memory; its number may then be given out anew for the same object only.
//
// Names are bytes. They travel as latin1 "binary strings": one character for each byte, 0x01 to 0xff, without `/`.
// Whoever shows a name to a person decodes it; whoever passes one to a system call encodes it with latin1.
//
// Values and promises. What is known is returned as a value; only what has to be fetched, or takes long on the disk,
// is returned as a promise. Failures are thrown (or rejected) as ErrnoError; a binding maps everything else with the
// table in errno.ts. No operation has an effect when it fails.
//
// Interrupts. `ctx.signal` aborts when the calling process was interrupted, and only exists on the asynchronous path:
// reading it creates it. A method that waits gives up with EINTR then. Interrupting is advice: completing is fine too.
//
// Permissions are checked by the kernel (mount option default_permissions) from the attributes that the filesystem
// returns. The filesystem checks what is not a matter of permissions.
//
// Locks (flock and POSIX) are kept by the kernel alone and never arrive here.
//
// Open files. A call on an open file names both: its inode and its handle `fh`. A handle of 0 says that none is known:
// after `open` was refused with ENOSYS the kernel opens and closes files by itself, for good (`KernelNotifier.mayOmitOpen`
// tells whether that is possible). A filesystem then does without a handle: what it keeps for a file ends when its last
// reference is given back, since a file that is open is referenced. Handles from before are not released any more either.

import type { Awaitable } from '../util/types.ts';

/** Who asks, and whether they still want it. */
export interface CallContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Aborts when the caller was interrupted. Ask for it only on a path that waits. */
  readonly signal: AbortSignal;
}

/** Attributes of an object, as `struct stat` has them. Times are seconds and nanoseconds. */
export interface Attributes {
  ino: number;
  /** Type and permission bits (`S_IFMT | 07777`). */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  /** Bytes. */
  size: number;
  /** Units of 512 bytes. */
  blocks: number;
  blksize: number;
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
}

/** An object found or made under a name. The kernel keeps both parts for the given seconds. */
export interface Entry {
  readonly attributes: Attributes;
  /** Its number among inodes where that is not `attributes.ino`: one that was split from another shows the same. */
  readonly node?: number;
  /** How long the kernel may keep the name, in seconds. */
  readonly entryTtl: number;
  /** How long the kernel may keep the attributes, in seconds. */
  readonly attributesTtl: number;
}

/**
 * What `setattr` changes; absent fields stay. `atime` and `mtime` are `'now'` or a time. `fh` is present when the
 * change came through an open file (ftruncate) whose handle is known. `clearSetId` comes with a new size from a caller
 * without the right to keep set-id bits; a new owner takes them away for every caller.
 */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Timestamp | 'now';
  mtime?: Timestamp | 'now';
  fh?: number;
  clearSetId?: boolean;
}

/** A point in time. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** An open file. */
export interface OpenedFile {
  /** Handle for the calls on the open file; unique among open files, from 1 to below 2^53. */
  readonly fh: number;
  /** Whether what the page cache holds of this file is still right (FOPEN_KEEP_CACHE). */
  readonly keepCache: boolean;
  /**
   * Registration of the file that the kernel is to read and write by itself, see Passthrough; absent where it asks.
   * While a file is open in one of the two ways, all opens of its inode must be of that way, with the same registration.
   */
  readonly backingId?: number;
}

/** Options of a write, a set of bits. The data (WRITE_DSYNC), or all of the file (WRITE_SYNC), is to reach the disk. */
export const WRITE_DSYNC = 1;
export const WRITE_SYNC = 2;
/** The caller may not keep set-id bits: the set-user-id bit goes, and the set-group-id bit of what a group may execute. */
export const WRITE_CLEAR_SET_ID = 4;

/** A place in an open file. */
export interface FilePosition {
  readonly ino: number;
  readonly fh: number;
  /** Bytes. */
  readonly offset: number;
}

/** Numbers for statfs(2); sizes in units of `blockSize` bytes. */
export interface FilesystemStatistics {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameMax: number;
}

/** Takes the entries of a folder; false means that the entry did not fit and the listing ends before it. */
export interface DirectorySink {
  /**
   * @param name entry name, `.` and `..` included
   * @param ino its inode number
   * @param type its `S_IFMT` bits
   * @param nextOffset the offset from which a later call goes on after this entry
   */
  add(name: string, ino: number, type: number, nextOffset: number): boolean;
  /** As `add`, with the attributes; when accepted it counts a reference (never for `.` and `..`, which use `add`). */
  addEntry(name: string, entry: Entry, nextOffset: number): boolean;
}

/** Flags of renameat2(2). */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

/** Flags of setxattr(2). */
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

/**
 * An inode based filesystem, its methods named after the system calls. A binding calls nothing concurrently in the
 * sense of threads, but may start a call while the promise of an earlier one is pending.
 */
export interface Filesystem {
  /** The object under `name` in folder `parent`. Throws ENOENT; see `negativeTtl`. */
  lookup(parent: number, name: string, ctx: CallContext): Awaitable<Entry>;
  /** How long the kernel may remember that a name does not exist, in seconds; 0 for not at all. */
  readonly negativeTtl: number;
  /** How long the kernel may keep what `getattr` and `setattr` return, in seconds. */
  readonly attributesTtl: number;
  /** Gives `count` references to `ino` back. Never fails. */
  forget(ino: number, count: number): void;

  getattr(ino: number, fh: number | undefined, ctx: CallContext): Awaitable<Attributes>;
  setattr(ino: number, changes: AttributeChanges, ctx: CallContext): Awaitable<Attributes>;
  readlink(ino: number, ctx: CallContext): Awaitable<Buffer>;

  mknod(parent: number, name: string, mode: number, rdev: number, ctx: CallContext): Awaitable<Entry>;
  mkdir(parent: number, name: string, mode: number, ctx: CallContext): Awaitable<Entry>;
  symlink(parent: number, name: string, target: Buffer, ctx: CallContext): Awaitable<Entry>;
  link(ino: number, parent: number, name: string, ctx: CallContext): Awaitable<Entry>;
  unlink(parent: number, name: string, ctx: CallContext): Awaitable<void>;
  rmdir(parent: number, name: string, ctx: CallContext): Awaitable<void>;
  /** `flags` are those of renameat2(2). */
  rename(
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
    ctx: CallContext,
  ): Awaitable<void>;

  /**
   * Opens an existing file; `flags` are those of open(2) without O_CREAT and O_EXCL, O_TRUNC included. ENOSYS, where the
   * notifier allows it, makes the kernel open files without asking from then on. ESTALE makes it look the name up again.
   */
  open(ino: number, flags: number, ctx: CallContext): Awaitable<OpenedFile>;
  /** Makes a regular file (or opens the one that is there; O_EXCL: EEXIST) and opens it. */
  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): Awaitable<{ entry: Entry; file: OpenedFile }>;
  /**
   * Makes a regular file in a folder that has no name, and opens it (O_TMPFILE); `link` may give it one. Throws
   * EOPNOTSUPP where the disk has no such files.
   */
  tmpfile(
    parent: number,
    mode: number,
    flags: number,
    ctx: CallContext,
  ): Awaitable<{ entry: Entry; file: OpenedFile }>;
  /** Reads up to `target.length` bytes at `position` into `target`; returns how many, less only at the end. */
  read(ino: number, fh: number, target: Uint8Array, position: number, ctx: CallContext): Awaitable<number>;
  /**
   * Writes all of `data` at `position`, or at the end where the handle was opened with O_APPEND; `options` are of
   * WRITE_*. `data` is only valid until the call returns, or its promise settles. File capabilities go with any write.
   */
  write(
    ino: number,
    fh: number,
    data: Uint8Array,
    position: number,
    options: number,
    ctx: CallContext,
  ): Awaitable<number>;
  fsync(ino: number, fh: number, dataOnly: boolean, ctx: CallContext): Awaitable<void>;
  fallocate(
    ino: number,
    fh: number,
    mode: number,
    offset: number,
    length: number,
    ctx: CallContext,
  ): Awaitable<void>;
  /** SEEK_DATA (3) and SEEK_HOLE (4); the binding or the kernel does the others. */
  lseek(ino: number, fh: number, offset: number, whence: number, ctx: CallContext): Awaitable<number>;
  /** Copies between two open files on the server's side; returns bytes copied, 0 at the end of the source. */
  copyFileRange(
    source: FilePosition,
    target: FilePosition,
    length: number,
    ctx: CallContext,
  ): Awaitable<number>;
  /** The last reference to the open file is gone. Never fails. */
  release(fh: number): void;

  /**
   * Lists folder `ino` from `offset` (0 at first, then a `nextOffset`) until the sink is full or the folder ends. An
   * entry that is there during the whole listing is given exactly once, whatever else is added or removed meanwhile.
   */
  readdir(ino: number, offset: number, sink: DirectorySink, ctx: CallContext): Awaitable<void>;
  /** As `readdir`, but offers entries with attributes where they are known or cheap to learn for the whole folder. */
  readdirplus(ino: number, offset: number, sink: DirectorySink, ctx: CallContext): Awaitable<void>;
  /** Makes the folder's entries durable. */
  fsyncdir(ino: number, dataOnly: boolean, ctx: CallContext): Awaitable<void>;

  /** Value of an extended attribute. Throws ENODATA. */
  getxattr(ino: number, name: string, ctx: CallContext): Awaitable<Buffer>;
  /** Names of the extended attributes. */
  listxattr(ino: number, ctx: CallContext): Awaitable<string[]>;
  setxattr(ino: number, name: string, value: Buffer, flags: number, ctx: CallContext): Awaitable<void>;
  removexattr(ino: number, name: string, ctx: CallContext): Awaitable<void>;

  statfs(ino: number, ctx: CallContext): Awaitable<FilesystemStatistics>;

  /** Releases everything: descriptors, timers. The binding calls it once, after the kernel let go of the mount. */
  destroy(): Awaitable<void>;
}

/**
 * What a filesystem tells the kernel on its own account: that something it may have cached is no longer so. A binding
 * that cannot (fuse-native) ignores the calls. They are queued and sent outside of any request, since the kernel may
 * wait for a request on the very inode.
 */
export interface KernelNotifier {
  /** Attributes of `ino` changed, and its content from `offset` for `length` bytes (0: to the end; offset -1: none). */
  invalidateInode(ino: number, offset: number, length: number): void;
  /** The entry `name` of folder `parent` changed or went away. */
  invalidateEntry(parent: number, name: string): void;
  /**
   * Asks the kernel to let go of inodes that nothing uses just now; `forget` follows for those that it let go. Resolves,
   * when it has looked at all of them, with whether it can do that at all (Linux 6.18). Absent where the binding cannot.
   */
  prune?(inos: readonly number[]): Promise<boolean>;
  /**
   * Resolves when everything said before has reached the kernel; absent where nothing does. Content that is to be
   * forgotten may come later: the kernel waits for the reads of it that are under way.
   */
  delivered?(): Promise<void>;
  /** Whether `open` may be refused with ENOSYS; absent for no. Known from the first request on. */
  readonly mayOmitOpen?: boolean | undefined;
  /** How files are handed to the kernel; absent where it cannot read and write by itself. Known as above. */
  readonly passthrough?: Passthrough | undefined;
}

/** Files that the kernel reads and writes on the local disk by itself, in place of READ and WRITE requests. */
export interface Passthrough {
  /**
   * Registers the file behind a descriptor, which may be closed afterwards; returns the registration for
   * `OpenedFile.backingId`, or undefined where the kernel refuses this file.
   */
  register(fd: number): number | undefined;
  /** Ends a registration. Files that were opened with it stay open. */
  unregister(backingId: number): void;
}
