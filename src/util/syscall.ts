// System calls that Node does not offer, or only with UTF-8 names and long paths: the `*at` family, extended
// attributes, fallocate, lseek, getdents. All are synchronous; names are latin1 binary strings (bytes).
import { constants as fsConstants } from 'node:fs';
import { Errno, ErrnoError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

/** Flags of the `*at` calls (values are the same on all architectures of Linux). */
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const O_CLOEXEC = 0o2000000;
/** O_PATH: a descriptor that only names an object. */
export const O_PATH = 0o10000000;
/** O_TMPFILE: a file without a name. */
export const O_TMPFILE: number = 0o20000000 | fsConstants.O_DIRECTORY;
/** Flags of renameat2(2). */
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

const openatCall = libc.func('int openat(int, void *, int, uint32_t)');
const statxCall = libc.func('int statx(int, void *, int, uint32_t, void *)');
const mkdiratCall = libc.func('int mkdirat(int, void *, uint32_t)');
const mknodatCall = libc.func('int mknodat(int, void *, uint32_t, uint64_t)');
const unlinkatCall = libc.func('int unlinkat(int, void *, int)');
const renameat2Call = libc.func('int renameat2(int, void *, int, void *, uint32_t)');
const linkatCall = libc.func('int linkat(int, void *, int, void *, int)');
const symlinkatCall = libc.func('int symlinkat(void *, int, void *)');
const readlinkatCall = libc.func('long readlinkat(int, void *, void *, size_t)');
const fchmodatCall = libc.func('int fchmodat(int, void *, uint32_t, int)');
const fchownatCall = libc.func('int fchownat(int, void *, uint32_t, uint32_t, int)');
const utimensatCall = libc.func('int utimensat(int, void *, void *, int)');
const lgetxattrCall = libc.func('long lgetxattr(void *, void *, void *, size_t)');
const getxattrCall = libc.func('long getxattr(void *, void *, void *, size_t)');
const lsetxattrCall = libc.func('int lsetxattr(void *, void *, void *, size_t, int)');
const setxattrCall = libc.func('int setxattr(void *, void *, void *, size_t, int)');
const llistxattrCall = libc.func('long llistxattr(void *, void *, size_t)');
const listxattrCall = libc.func('long listxattr(void *, void *, size_t)');
const lremovexattrCall = libc.func('int lremovexattr(void *, void *)');
const removexattrCall = libc.func('int removexattr(void *, void *)');
const fallocateCall = libc.func('int fallocate(int, int, int64_t, int64_t)');
const lseekCall = libc.func('int64_t lseek(int, int64_t, int)');
const getdents64Call = libc.func('long getdents64(int, void *, size_t)');
const copyFileRangeCall = libc.func('long copy_file_range(int, void *, int, void *, size_t, uint32_t)');

// Reused for names: a call is over before the next one begins.
const nameScratch = Buffer.alloc(8192);
const otherScratch = Buffer.alloc(8192);
const statScratch = Buffer.alloc(256);
const timesScratch = Buffer.alloc(32);
const direntScratch = Buffer.alloc(64 * 1024);
const xattrScratch = Buffer.alloc(65536);
const offsetInScratch = Buffer.alloc(8);
const offsetOutScratch = Buffer.alloc(8);

function terminated(text: string, scratch: Buffer): Buffer {
  if (text.length >= scratch.length) throw new ErrnoError('ENAMETOOLONG');
  scratch.write(text, 0, 'latin1');
  scratch[text.length] = 0;
  return scratch;
}

function check(result: number): number {
  if (result < 0) throw new ErrnoError(lastErrno());
  return result;
}

/** The numbers of `struct statx`; times in seconds and nanoseconds, `blocks` of 512 bytes. */
export interface Stat {
  dev: number;
  ino: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  blocks: number;
  blksize: number;
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
}

const STATX_BASIC_STATS = 0x7ff;

function u64(buffer: Buffer, offset: number): number {
  return buffer.readUInt32LE(offset + 4) * 0x1_0000_0000 + buffer.readUInt32LE(offset);
}

function s64(buffer: Buffer, offset: number): number {
  return buffer.readInt32LE(offset + 4) * 0x1_0000_0000 + buffer.readUInt32LE(offset);
}

/** Device number as FUSE and mknod(2) encode it in 32 bits. */
function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Attributes of `name` in the folder `dirfd` (a symlink itself, not its target), or undefined when it is missing. */
export function statIfPresent(dirfd: number, name: string): Stat | undefined {
  const path = terminated(name, nameScratch);
  if (statxCall(dirfd, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statScratch) < 0) {
    const errno = lastErrno();
    if (errno === Errno.ENOENT) return undefined;
    throw new ErrnoError(errno);
  }
  return readStat();
}

/** Attributes of `name` in the folder `dirfd`, a symlink itself; with an empty name of `dirfd` itself. */
export function statAt(dirfd: number, name: string): Stat {
  const flags = AT_SYMLINK_NOFOLLOW | (name === '' ? AT_EMPTY_PATH : 0);
  check(statxCall(dirfd, terminated(name, nameScratch), flags, STATX_BASIC_STATS, statScratch));
  return readStat();
}

function readStat(): Stat {
  const raw = statScratch;
  return {
    blksize: raw.readUInt32LE(4),
    nlink: raw.readUInt32LE(16),
    uid: raw.readUInt32LE(20),
    gid: raw.readUInt32LE(24),
    mode: raw.readUInt16LE(28),
    ino: u64(raw, 32),
    size: u64(raw, 40),
    blocks: u64(raw, 48),
    atime: s64(raw, 64),
    atimeNsec: raw.readUInt32LE(72),
    ctime: s64(raw, 96),
    ctimeNsec: raw.readUInt32LE(104),
    mtime: s64(raw, 112),
    mtimeNsec: raw.readUInt32LE(120),
    rdev: deviceNumber(raw.readUInt32LE(128), raw.readUInt32LE(132)),
    dev: deviceNumber(raw.readUInt32LE(136), raw.readUInt32LE(140)),
  };
}

/** Opens `name` in the folder `dirfd`, close-on-exec; an absolute name ignores `dirfd`. */
export function openAt(dirfd: number, name: string, flags: number, mode = 0): number {
  return check(openatCall(dirfd, terminated(name, nameScratch), flags | O_CLOEXEC, mode));
}

/** Opens an absolute path (bytes). */
export function openPath(path: string, flags: number, mode = 0): number {
  return openAt(AT_FDCWD, path, flags, mode);
}

/** Makes a folder. */
export function mkdirAt(dirfd: number, name: string, mode: number): void {
  check(mkdiratCall(dirfd, terminated(name, nameScratch), mode));
}

/** Makes a special (or regular) file; `rdev` in the 32-bit encoding. */
export function mknodAt(dirfd: number, name: string, mode: number, rdev: number): void {
  check(mknodatCall(dirfd, terminated(name, nameScratch), mode, rdev));
}

/** Removes a name; with AT_REMOVEDIR an empty folder. */
export function unlinkAt(dirfd: number, name: string, flags = 0): void {
  check(unlinkatCall(dirfd, terminated(name, nameScratch), flags));
}

/** renameat2(2). */
export function renameAt(dirfd: number, name: string, newDirfd: number, newName: string, flags = 0): void {
  check(
    renameat2Call(dirfd, terminated(name, nameScratch), newDirfd, terminated(newName, otherScratch), flags),
  );
}

/** Gives the object `name` (or, when the name is empty, the open `dirfd` itself) one more name. */
export function linkAt(dirfd: number, name: string, newDirfd: number, newName: string): void {
  // AT_EMPTY_PATH needs a capability; the link in /proc does the same without.
  const [base, path, flags] =
    name === '' ? [AT_FDCWD, `/proc/self/fd/${dirfd}`, AT_SYMLINK_FOLLOW] : [dirfd, name, 0];
  check(linkatCall(base, terminated(path, nameScratch), newDirfd, terminated(newName, otherScratch), flags));
}

/** Makes a symlink; the target is bytes. */
export function symlinkAt(target: Buffer, dirfd: number, name: string): void {
  check(symlinkatCall(Buffer.concat([target, Buffer.of(0)]), dirfd, terminated(name, nameScratch)));
}

/** Target of a symlink; with an empty name of the symlink that `dirfd` (O_PATH) is. */
export function readlinkAt(dirfd: number, name: string): Buffer {
  const length = check(readlinkatCall(dirfd, terminated(name, nameScratch), otherScratch, 8192));
  return Buffer.from(otherScratch.subarray(0, length));
}

/** Changes permission bits; EOPNOTSUPP for a symlink, which is not followed. An empty name means `dirfd` itself. */
export function chmodAt(dirfd: number, name: string, mode: number): void {
  const [base, path] = name === '' ? [AT_FDCWD, `/proc/self/fd/${dirfd}`] : [dirfd, name];
  const flags = name === '' ? 0 : AT_SYMLINK_NOFOLLOW;
  check(fchmodatCall(base, terminated(path, nameScratch), mode, flags));
}

/** Changes the owner, of a symlink itself; -1 leaves one as it is. An empty name means `dirfd` itself. */
export function chownAt(dirfd: number, name: string, uid: number, gid: number): void {
  const flags = AT_SYMLINK_NOFOLLOW | (name === '' ? AT_EMPTY_PATH : 0);
  check(fchownatCall(dirfd, terminated(name, nameScratch), uid >>> 0, gid >>> 0, flags));
}

/** What utimensat(2) takes for one time: a time, now, or leave it. */
export type TimeChange = { readonly seconds: number; readonly nanoseconds: number } | 'now' | undefined;

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

function writeTime(change: TimeChange, offset: number): void {
  const seconds = typeof change === 'object' ? change.seconds : 0;
  const nanoseconds = change === undefined ? UTIME_OMIT : change === 'now' ? UTIME_NOW : change.nanoseconds;
  timesScratch.writeUInt32LE((seconds % 0x1_0000_0000) >>> 0, offset);
  timesScratch.writeInt32LE(Math.floor(seconds / 0x1_0000_0000), offset + 4);
  timesScratch.writeUInt32LE(nanoseconds, offset + 8);
  timesScratch.writeUInt32LE(0, offset + 12);
}

/** Changes access and modification time, of a symlink itself. An empty name means `dirfd` itself. */
export function utimensAt(dirfd: number, name: string, atime: TimeChange, mtime: TimeChange): void {
  writeTime(atime, 0);
  writeTime(mtime, 16);
  const flags = AT_SYMLINK_NOFOLLOW | (name === '' ? AT_EMPTY_PATH : 0);
  check(utimensatCall(dirfd, terminated(name, nameScratch), timesScratch, flags));
}

// There are no `*at` calls for extended attributes on the kernels this runs on, so they go through /proc/self/fd:
// that is short whatever the depth. `l` variants for a name, following ones for a descriptor itself.
function attributePath(dirfd: number, name: string): Buffer {
  return terminated(name === '' ? `/proc/self/fd/${dirfd}` : `/proc/self/fd/${dirfd}/${name}`, nameScratch);
}

/** Value of an extended attribute, or undefined when there is none. An empty name means `dirfd` itself. */
export function getXattrAt(dirfd: number, name: string, attribute: string): Buffer | undefined {
  const call = name === '' ? getxattrCall : lgetxattrCall;
  const path = attributePath(dirfd, name);
  const length = call(path, terminated(attribute, otherScratch), xattrScratch, xattrScratch.length);
  if (length < 0) {
    const errno = lastErrno();
    if (errno === Errno.ENODATA) return undefined;
    throw new ErrnoError(errno);
  }
  return Buffer.from(xattrScratch.subarray(0, length));
}

/** Sets an extended attribute; `flags` XATTR_CREATE or XATTR_REPLACE. An empty name means `dirfd` itself. */
export function setXattrAt(dirfd: number, name: string, attribute: string, value: Buffer, flags = 0): void {
  const call = name === '' ? setxattrCall : lsetxattrCall;
  check(call(attributePath(dirfd, name), terminated(attribute, otherScratch), value, value.length, flags));
}

/** Removes an extended attribute. An empty name means `dirfd` itself. */
export function removeXattrAt(dirfd: number, name: string, attribute: string): void {
  const call = name === '' ? removexattrCall : lremovexattrCall;
  check(call(attributePath(dirfd, name), terminated(attribute, otherScratch)));
}

/** Names of the extended attributes; none where the filesystem has no such thing. */
export function listXattrAt(dirfd: number, name: string): string[] {
  const call = name === '' ? listxattrCall : llistxattrCall;
  const length = call(attributePath(dirfd, name), xattrScratch, xattrScratch.length);
  if (length < 0) {
    const errno = lastErrno();
    if (errno === Errno.EOPNOTSUPP) return [];
    throw new ErrnoError(errno);
  }
  if (length === 0) return [];
  return xattrScratch.toString('latin1', 0, length - 1).split('\0');
}

/** fallocate(2). */
export function fallocate(fd: number, mode: number, offset: number, length: number): void {
  check(fallocateCall(fd, mode, offset, length));
}

/** lseek(2); only for SEEK_DATA and SEEK_HOLE, since nobody else uses the position of our descriptors. */
export function lseek(fd: number, offset: number, whence: number): number {
  return check(lseekCall(fd, offset, whence));
}

/** copy_file_range(2) at explicit positions; returns bytes copied. */
export function copyFileRange(
  fdIn: number,
  offsetIn: number,
  fdOut: number,
  offsetOut: number,
  length: number,
): number {
  offsetInScratch.writeBigInt64LE(BigInt(offsetIn));
  offsetOutScratch.writeBigInt64LE(BigInt(offsetOut));
  return check(copyFileRangeCall(fdIn, offsetInScratch, fdOut, offsetOutScratch, length, 0));
}

/**
 * As `copyFileRange`, in the thread pool. Resolves with -1 when it fails; why is lost with the thread.
 */
export function copyFileRangeAsync(
  fdIn: number,
  offsetIn: number,
  fdOut: number,
  offsetOut: number,
  length: number,
): Promise<number> {
  const from = Buffer.alloc(8);
  const to = Buffer.alloc(8);
  from.writeBigInt64LE(BigInt(offsetIn));
  to.writeBigInt64LE(BigInt(offsetOut));
  return new Promise((resolve, reject) => {
    copyFileRangeCall.async(fdIn, from, fdOut, to, length, 0, (error: Error | null, count: number) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** An entry as getdents64(2) gives it. `type` is in `S_IFMT` bits, 0 where the filesystem does not tell. */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

/** All entries of the folder `dirfd` (any descriptor, O_PATH too), without `.` and `..`. */
export function readDirectory(dirfd: number): DirectoryEntry[] {
  const fd = openAt(dirfd, '.', fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  const entries: DirectoryEntry[] = [];
  try {
    for (;;) {
      const length = check(getdents64Call(fd, direntScratch, direntScratch.length));
      if (length === 0) return entries;
      for (let at = 0; at < length;) {
        const recordLength = direntScratch.readUInt16LE(at + 16);
        const end = direntScratch.indexOf(0, at + 19);
        const name = direntScratch.toString('latin1', at + 19, end);
        if (name !== '.' && name !== '..') {
          entries.push({ name, ino: u64(direntScratch, at), type: (direntScratch[at + 18] ?? 0) << 12 });
        }
        at += recordLength;
      }
    }
  } finally {
    closeFd(fd);
  }
}

const closeCall = libc.func('int close(int)');

/** Closes a descriptor; failures are of no consequence, since nothing is written on closing. */
export function closeFd(fd: number): void {
  closeCall(fd);
}
