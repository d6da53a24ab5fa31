// The handshake: which protocol version and which features.
import type { OpenRequests } from '../fuse-mount.ts';
import type { Reply } from './codec/reply.ts';
import type { Request } from './codec/request.ts';
import {
  FUSE_MAJOR,
  FUSE_MINOR,
  InitFlag,
  InitFlag2,
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
 * - ATOMIC_O_TRUNC: truncation would be lost where the kernel opens files without asking; and it would leave no means
 *   to tell an open that empties the file from one that needs its content;
 * - DONT_MASK: modes come with the umask applied.
 */
const WANTED_FLAGS =
  InitFlag.ASYNC_READ |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.NO_OPENDIR_SUPPORT |
  // Set-id bits are cleared with the WRITE, which saves asking for the attributes before it.
  InitFlag.HANDLE_KILLPRIV_V2;

/** Bytes of `struct fuse_init_out`. */
const INIT_REPLY_BYTES = 64;
const MAX_READAHEAD_BYTES = 1024 * 1024;
/** Requests that the kernel sends without a process that waits: readahead, asynchronous direct I/O. */
const MAX_BACKGROUND = 128;
/** From how many of those on the kernel holds readahead back. */
const CONGESTION_THRESHOLD = 96;
const TIME_GRANULARITY_NS = 1;

/**
 * Filesystems below ours that may lie upon another: with 1 files of an overlayfs cannot be passed through, but ours can
 * still be a layer of one.
 */
const MAX_STACK_DEPTH = 1;

/** What the handshake settled about opening files. */
export interface OpenFeatures {
  /** OPEN may be refused for good. */
  readonly mayOmitOpen: boolean;
  /** The kernel takes files to read and write by itself, from who may give them. */
  readonly passthrough: boolean;
}

/** How the handshake went. `again`: the kernel is newer and will ask once more for our version. */
export type InitOutcome = 'done' | 'again' | 'too-old';

/** What INIT was answered with. */
export interface InitAnswer extends OpenFeatures {
  readonly outcome: InitOutcome;
  /** Bytes of the reply's body. */
  readonly length: number;
}

/** Answers INIT in the body of the reply. */
export function answerInit(request: Request, reply: Reply, opens: OpenRequests): InitAnswer {
  const none = { mayOmitOpen: false, passthrough: false };
  const major = request.u32(0);
  const minor = request.u32(4);
  reply.zero(0, INIT_REPLY_BYTES);
  reply.u32(0, FUSE_MAJOR);
  reply.u32(4, Math.min(minor, FUSE_MINOR));
  if (major > FUSE_MAJOR) {
    reply.u32(4, FUSE_MINOR);
    return { outcome: 'again', length: INIT_REPLY_BYTES, ...none };
  }
  if (major < FUSE_MAJOR || minor < OLDEST_FUSE_MINOR) return { outcome: 'too-old', length: 0, ...none };
  reply.u32(8, Math.min(request.u32(8), MAX_READAHEAD_BYTES));
  const offered = request.u32(12);
  const passthrough =
    opens !== 'never' &&
    process.geteuid?.() === 0 &&
    (offered & InitFlag.INIT_EXT) !== 0 &&
    (request.u32(16) & InitFlag2.PASSTHROUGH) !== 0;
  const mayOmitOpen = opens !== 'always' && (offered & InitFlag.NO_OPEN_SUPPORT) !== 0;
  const more =
    (passthrough ? InitFlag.INIT_EXT : 0) | (mayOmitOpen ? InitFlag.NO_OPEN_SUPPORT : 0) | WANTED_FLAGS;
  reply.u32(12, offered & more);
  reply.u32(16, MAX_BACKGROUND | (CONGESTION_THRESHOLD << 16));
  reply.u32(20, MAX_WRITE_BYTES);
  reply.u32(24, TIME_GRANULARITY_NS);
  reply.u32(28, MAX_PAGES);
  if (passthrough) {
    reply.u32(32, InitFlag2.PASSTHROUGH);
    reply.u32(36, MAX_STACK_DEPTH);
  }
  return { outcome: 'done', length: INIT_REPLY_BYTES, mayOmitOpen, passthrough };
}
