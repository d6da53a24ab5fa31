// The structures that several replies share: attributes, entries, open files.
import type { Attributes, Entry, OpenedFile } from '../../filesystem.ts';
import { FOPEN_KEEP_CACHE, FOPEN_PASSTHROUGH } from '../protocol.ts';
import type { Reply } from './reply.ts';

/** Bytes of `struct fuse_entry_out`. */
export const ENTRY_BYTES = 128;
/** Bytes of `struct fuse_attr_out`. */
export const ATTRIBUTES_REPLY_BYTES = 104;
/** Bytes of `struct fuse_open_out`. */
export const OPEN_BYTES = 16;

/** As good as for ever, and far from any overflow when the kernel turns it into ticks. */
const LONGEST_TTL_SECONDS = 0x7fff_ffff;

/** Writes a time to live, in seconds: the whole ones at `at`, the rest in nanoseconds at `nanosecondsAt`. */
function writeTtl(reply: Reply, at: number, nanosecondsAt: number, ttl: number): void {
  const seconds = Math.floor(Math.min(ttl, LONGEST_TTL_SECONDS));
  reply.u64(at, seconds);
  reply.u32(nanosecondsAt, ttl > seconds && seconds < LONGEST_TTL_SECONDS ? (ttl - seconds) * 1e9 : 0);
}

/** Writes a `struct fuse_attr`. */
function writeAttr(reply: Reply, at: number, attributes: Attributes): void {
  reply.u64(at, attributes.ino);
  reply.u64(at + 8, attributes.size);
  reply.u64(at + 16, attributes.blocks);
  reply.u64(at + 24, attributes.atime);
  reply.u64(at + 32, attributes.mtime);
  reply.u64(at + 40, attributes.ctime);
  reply.u32(at + 48, attributes.atimeNsec);
  reply.u32(at + 52, attributes.mtimeNsec);
  reply.u32(at + 56, attributes.ctimeNsec);
  reply.u32(at + 60, attributes.mode);
  reply.u32(at + 64, attributes.nlink);
  reply.u32(at + 68, attributes.uid);
  reply.u32(at + 72, attributes.gid);
  reply.u32(at + 76, attributes.rdev);
  reply.u32(at + 80, attributes.blksize);
  reply.u32(at + 84, 0);
}

/** Writes the reply to GETATTR and SETATTR; returns its length. */
export function writeAttributesReply(reply: Reply, attributes: Attributes, ttl: number): number {
  writeTtl(reply, 0, 8, ttl);
  reply.u32(12, 0);
  writeAttr(reply, 16, attributes);
  return ATTRIBUTES_REPLY_BYTES;
}

/** Writes a `struct fuse_entry_out` at `at`; returns its length. */
export function writeEntry(reply: Reply, at: number, entry: Entry): number {
  const { attributes } = entry;
  reply.u64(at, entry.node ?? attributes.ino);
  // The generation: a number is never given to a second object.
  reply.u64(at + 8, 0);
  writeTtl(reply, at + 16, at + 32, entry.entryTtl);
  writeTtl(reply, at + 24, at + 36, entry.attributesTtl);
  writeAttr(reply, at + 40, attributes);
  return ENTRY_BYTES;
}

/** Writes the entry that says that a name does not exist, for `ttl` seconds; returns its length. */
export function writeNegativeEntry(reply: Reply, ttl: number): number {
  reply.zero(0, ENTRY_BYTES);
  writeTtl(reply, 16, 32, ttl);
  return ENTRY_BYTES;
}

/** Writes a `struct fuse_open_out` at `at`; returns its length. */
export function writeOpen(reply: Reply, at: number, file: OpenedFile): number {
  reply.u64(at, file.fh);
  const { backingId } = file;
  // Which file to use instead; a passthrough open has no pages in the cache that could be kept.
  reply.u32(at + 8, backingId === undefined ? (file.keepCache ? FOPEN_KEEP_CACHE : 0) : FOPEN_PASSTHROUGH);
  reply.u32(at + 12, backingId ?? 0);
  return OPEN_BYTES;
}
