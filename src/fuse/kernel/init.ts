// The handshake: which protocol version and which features.
import type { Reply } from './codec/reply.ts';
import type { Request } from './codec/request.ts';
import {
  FUSE_MAJOR,
  FUSE_MINOR,
  InitFlag,
  MAX_PAGES,
  MAX_WRITE_BYTES,
  OLDEST_FUSE_MINOR,
} from './protocol.ts';

/**
 * What we want of what the kernel offers. Left out on purpose:
 * - WRITEBACK_CACHE: a write would be acknowledged before we saw it, and sizes would be the kernel's;
 * - POSIX_LOCKS, FLOCK_LOCKS: without them the kernel keeps the locks;
 * - AUTO_INVAL_DATA: it asks for attributes again and again, where we notify;
 * - EXPORT_SUPPORT: it asks to look up by bare inode number, which the filesystem contract does not have;
 * - HANDLE_KILLPRIV: the kernel clears set-user-id bits through SETATTR as it does on any filesystem;
 * - DONT_MASK: modes come with the umask applied.
 */
const WANTED_FLAGS =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.NO_OPENDIR_SUPPORT;

/** Bytes of `struct fuse_init_out`. */
const INIT_REPLY_BYTES = 64;
const MAX_READAHEAD_BYTES = 1024 * 1024;
/** Requests that the kernel sends without a process that waits: readahead, asynchronous direct I/O. */
const MAX_BACKGROUND = 128;
/** From how many of those on the kernel holds readahead back. */
const CONGESTION_THRESHOLD = 96;
const TIME_GRANULARITY_NS = 1;

/** How the handshake went. `again`: the kernel is newer and will ask once more for our version. */
export type InitOutcome = 'done' | 'again' | 'too-old';

/** Answers INIT in the body of the reply. */
export function answerInit(request: Request, reply: Reply): { outcome: InitOutcome; length: number } {
  const major = request.u32(0);
  const minor = request.u32(4);
  reply.zero(0, INIT_REPLY_BYTES);
  reply.u32(0, FUSE_MAJOR);
  reply.u32(4, Math.min(minor, FUSE_MINOR));
  if (major > FUSE_MAJOR) {
    reply.u32(4, FUSE_MINOR);
    return { outcome: 'again', length: INIT_REPLY_BYTES };
  }
  if (major < FUSE_MAJOR || minor < OLDEST_FUSE_MINOR) return { outcome: 'too-old', length: 0 };
  reply.u32(8, Math.min(request.u32(8), MAX_READAHEAD_BYTES));
  reply.u32(12, request.u32(12) & WANTED_FLAGS);
  reply.u32(16, MAX_BACKGROUND | (CONGESTION_THRESHOLD << 16));
  reply.u32(20, MAX_WRITE_BYTES);
  reply.u32(24, TIME_GRANULARITY_NS);
  reply.u32(28, MAX_PAGES);
  return { outcome: 'done', length: INIT_REPLY_BYTES };
}
