// The numbers of the FUSE kernel protocol, version 7, as linux/fuse.h has them.

/** Protocol version that this binding speaks. */
export const FUSE_MAJOR = 7;
/** Newest minor version whose structures this binding knows (Linux 6.9). */
export const FUSE_MINOR = 40;
/** Oldest minor version with the structure sizes used here (Linux 3.15). */
export const OLDEST_FUSE_MINOR = 23;

/** Operation codes of requests. */
export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
} as const;

/** Bytes before the body of a request (`struct fuse_in_header`). */
export const REQUEST_HEADER_BYTES = 40;
/** Bytes before the body of a reply (`struct fuse_out_header`). */
export const REPLY_HEADER_BYTES = 16;

/** Most bytes that one WRITE carries; READ and the folder listings get no larger either. */
export const MAX_WRITE_BYTES: number = 1024 * 1024;
/** Pages of one request, the kernel's own limit; in pages of 4 KiB it comes to MAX_WRITE_BYTES. */
export const MAX_PAGES = 256;
/** Longest file name, in bytes. The kernel lets longer ones through. */
export const NAME_MAX = 255;

/** Flags of INIT. */
export const InitFlag = {
  ASYNC_READ: 0x1,
  BIG_WRITES: 0x20,
  DO_READDIRPLUS: 0x2000,
  READDIRPLUS_AUTO: 0x4000,
  ASYNC_DIO: 0x8000,
  NO_OPEN_SUPPORT: 0x20000,
  PARALLEL_DIROPS: 0x40000,
  MAX_PAGES: 0x400000,
  CACHE_SYMLINKS: 0x800000,
  NO_OPENDIR_SUPPORT: 0x1000000,
  HANDLE_KILLPRIV_V2: 0x10000000,
  /** There is a second word of flags. */
  INIT_EXT: 0x40000000,
} as const;

/** Flags of INIT in the second word. */
export const InitFlag2 = {
  PASSTHROUGH: 0x20,
} as const;

/** Bits of `valid` in SETATTR. */
export const SetattrFlag = {
  MODE: 0x1,
  UID: 0x2,
  GID: 0x4,
  SIZE: 0x8,
  ATIME: 0x10,
  MTIME: 0x20,
  FH: 0x40,
  ATIME_NOW: 0x80,
  MTIME_NOW: 0x100,
  KILL_SUIDGID: 0x800,
} as const;

/**
 * Flag of open(2) that is kept from the filesystem: the kernel, which alone changes the file, sends each WRITE with its
 * position, and fcntl(2) can take the flag off again without our hearing of it.
 */
export const O_APPEND = 0o2000;

/** GETATTR names an open file. */
export const GETATTR_FH = 1;
/** FSYNC and FSYNCDIR: the data only. */
export const FSYNC_FDATASYNC = 1;
/** Reply to OPEN: keep what the page cache has of the file. */
export const FOPEN_KEEP_CACHE = 2;
/** Reply to OPEN: read and write the registered file. */
export const FOPEN_PASSTHROUGH = 0x80;
/** WRITE: the caller may not keep set-id bits. */
export const WRITE_KILL_SUIDGID = 4;

/** Codes of notifications, which travel in the error field of a reply header with `unique` 0. */
export const NotifyCode = { INVAL_INODE: 2, INVAL_ENTRY: 3, PRUNE: 9 } as const;

/** Factor between the two halves of a 64-bit number. */
export const TWO_POW_32 = 4_294_967_296;
