// Attributes of objects and of the filesystem.
import type { AttributeChanges, Attributes, FilesystemStatistics } from '../../filesystem.ts';
import type { Request } from '../codec/request.ts';
import { writeAttributesReply } from '../codec/structures.ts';
import type { Operation, OperationTable } from '../operation.ts';
import { GETATTR_FH, Opcode, SetattrFlag } from '../protocol.ts';

const PERMISSION_BITS = 0o7777;
/** Bytes of `struct fuse_kstatfs`. */
const STATFS_BYTES = 80;

/** Reads a `struct fuse_setattr_in`. A change of ctime is left out: a filesystem sets that one itself. */
function readChanges(request: Request): AttributeChanges {
  const valid = request.u32(0);
  const changes: AttributeChanges = {};
  // A handle of 0 is one that the kernel made up.
  if (valid & SetattrFlag.FH && request.u64(8) !== 0) changes.fh = request.u64(8);
  if (valid & SetattrFlag.SIZE) changes.size = request.offset(16, 'EFBIG');
  if (valid & SetattrFlag.KILL_SUIDGID) changes.clearSetId = true;
  if (valid & SetattrFlag.MODE) changes.mode = request.u32(68) & PERMISSION_BITS;
  if (valid & SetattrFlag.UID) changes.uid = request.u32(76);
  if (valid & SetattrFlag.GID) changes.gid = request.u32(80);
  if (valid & SetattrFlag.ATIME_NOW) changes.atime = 'now';
  else if (valid & SetattrFlag.ATIME)
    changes.atime = { seconds: request.i64(32), nanoseconds: request.u32(56) };
  if (valid & SetattrFlag.MTIME_NOW) changes.mtime = 'now';
  else if (valid & SetattrFlag.MTIME)
    changes.mtime = { seconds: request.i64(40), nanoseconds: request.u32(60) };
  return changes;
}

const getattr: Operation<Attributes> = {
  name: 'GETATTR',
  call: (filesystem, request, ctx) =>
    filesystem.getattr(request.nodeid, request.u32(0) & GETATTR_FH ? request.u64(8) : undefined, ctx),
  encode: (reply, attributes, { attributesTtl }) => writeAttributesReply(reply, attributes, attributesTtl),
};

const setattr: Operation<Attributes> = {
  name: 'SETATTR',
  call: (filesystem, request, ctx) => filesystem.setattr(request.nodeid, readChanges(request), ctx),
  encode: (reply, attributes, { attributesTtl }) => writeAttributesReply(reply, attributes, attributesTtl),
};

const readlink: Operation<Buffer> = {
  name: 'READLINK',
  call: (filesystem, request, ctx) => filesystem.readlink(request.nodeid, ctx),
  encode(reply, target) {
    reply.copy(0, target);
    return target.length;
  },
};

const statfs: Operation<FilesystemStatistics> = {
  name: 'STATFS',
  call: (filesystem, request, ctx) => filesystem.statfs(request.nodeid, ctx),
  encode(reply, statistics) {
    reply.zero(0, STATFS_BYTES);
    reply.u64(0, statistics.blocks);
    reply.u64(8, statistics.blocksFree);
    reply.u64(16, statistics.blocksAvailable);
    reply.u64(24, statistics.files);
    reply.u64(32, statistics.filesFree);
    reply.u32(40, statistics.blockSize);
    reply.u32(44, statistics.nameMax);
    // The fragment size, which is what df and statvfs(3) multiply by.
    reply.u32(48, statistics.blockSize);
    return STATFS_BYTES;
  },
};

/** The operations on attributes. */
export const attributeOperations: OperationTable = {
  [Opcode.GETATTR]: getattr,
  [Opcode.SETATTR]: setattr,
  [Opcode.READLINK]: readlink,
  [Opcode.STATFS]: statfs,
};
