// Open files.
import { constants } from 'node:fs';
import { type OpenedFile, WRITE_CLEAR_SET_ID, WRITE_DSYNC, WRITE_SYNC } from '../../filesystem.ts';
import { writeOpen } from '../codec/structures.ts';
import { type Operation, type OperationTable, encodeNothing } from '../operation.ts';
import { FSYNC_FDATASYNC, MAX_WRITE_BYTES, O_APPEND, Opcode, WRITE_KILL_SUIDGID } from '../protocol.ts';
import type { Reply } from '../codec/reply.ts';
import type { Request } from '../codec/request.ts';

/** Bytes of `struct fuse_write_in`, which the data follows. */
const WRITE_HEADER_BYTES = 40;
const COUNT_BYTES = 8;
const { O_SYNC, O_DSYNC } = constants;

/** Encodes a `struct fuse_write_out`. */
function encodeCount(reply: Reply, count: number): number {
  reply.u32(0, count);
  reply.u32(4, 0);
  return COUNT_BYTES;
}

const open: Operation<OpenedFile> = {
  name: 'OPEN',
  call: (filesystem, request, ctx) => filesystem.open(request.nodeid, request.u32(0) & ~O_APPEND, ctx),
  encode: (reply, file) => writeOpen(reply, 0, file),
  undo: (filesystem, file) => filesystem.release(file.fh),
};

const read: Operation<number> = {
  name: 'READ',
  keeps: 'reply',
  call(filesystem, request, ctx, reply) {
    const target = reply.body(Math.min(request.u32(16), MAX_WRITE_BYTES));
    return filesystem.read(request.nodeid, request.u64(0), target, request.offset(8, 'EINVAL'), ctx);
  },
  encode: (_reply, count) => count,
};

/** Options of a WRITE, from its own flags and those of the open file. */
function writeOptions(request: Request): number {
  const flags = request.u32(32);
  if ((flags & (O_SYNC | O_DSYNC)) === 0 && (request.u32(20) & WRITE_KILL_SUIDGID) === 0) return 0;
  return (
    ((flags & O_SYNC) === O_SYNC ? WRITE_SYNC : (flags & O_DSYNC) !== 0 ? WRITE_DSYNC : 0) |
    ((request.u32(20) & WRITE_KILL_SUIDGID) === 0 ? 0 : WRITE_CLEAR_SET_ID)
  );
}

const write: Operation<number> = {
  name: 'WRITE',
  keeps: 'request',
  call: (filesystem, request, ctx) =>
    filesystem.write(
      request.nodeid,
      request.u64(0),
      request.bytes(WRITE_HEADER_BYTES, request.u32(16)),
      request.offset(8, 'EFBIG'),
      writeOptions(request),
      ctx,
    ),
  encode: encodeCount,
};

const release: Operation<void> = {
  name: 'RELEASE',
  call: (filesystem, request) => filesystem.release(request.u64(0)),
  encode: encodeNothing,
};

const fsync: Operation<void> = {
  name: 'FSYNC',
  call: (filesystem, request, ctx) =>
    filesystem.fsync(request.nodeid, request.u64(0), (request.u32(8) & FSYNC_FDATASYNC) !== 0, ctx),
  encode: encodeNothing,
};

const fallocate: Operation<void> = {
  name: 'FALLOCATE',
  call: (filesystem, request, ctx) =>
    filesystem.fallocate(
      request.nodeid,
      request.u64(0),
      request.u32(24),
      request.offset(8, 'EFBIG'),
      request.offset(16, 'EFBIG'),
      ctx,
    ),
  encode: encodeNothing,
};

const lseek: Operation<number> = {
  name: 'LSEEK',
  call: (filesystem, request, ctx) =>
    filesystem.lseek(request.nodeid, request.u64(0), request.offset(8, 'ENXIO'), request.u32(16), ctx),
  encode(reply, position) {
    reply.u64(0, position);
    return 8;
  },
};

const copyFileRange: Operation<number> = {
  name: 'COPY_FILE_RANGE',
  call: (filesystem, request, ctx) =>
    filesystem.copyFileRange(
      { ino: request.nodeid, fh: request.u64(0), offset: request.offset(8, 'EINVAL') },
      { ino: request.u64(16), fh: request.u64(24), offset: request.offset(32, 'EFBIG') },
      request.u64(40),
      ctx,
    ),
  encode: encodeCount,
};

/** The operations on open files. */
export const fileOperations: OperationTable = {
  [Opcode.OPEN]: open,
  [Opcode.READ]: read,
  [Opcode.WRITE]: write,
  [Opcode.RELEASE]: release,
  [Opcode.FSYNC]: fsync,
  [Opcode.FALLOCATE]: fallocate,
  [Opcode.LSEEK]: lseek,
  [Opcode.COPY_FILE_RANGE]: copyFileRange,
};
