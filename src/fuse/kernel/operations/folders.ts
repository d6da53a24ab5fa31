// Listings. OPENDIR is refused, so a folder has no handle: the kernel keeps listings and asks by inode number.
import type { Awaitable } from '../../../util/types.ts';
import { ReplySink, listedInodes } from '../codec/directory-sink.ts';
import { type Operation, type OperationTable, encodeNothing } from '../operation.ts';
import { FSYNC_FDATASYNC, MAX_WRITE_BYTES, Opcode } from '../protocol.ts';

/** The length of the listing, once it is complete. */
function lengthWhenDone(sink: ReplySink, done: Awaitable<void>): Awaitable<number> {
  return done instanceof Promise ? done.then(() => sink.length) : sink.length;
}

const readdir: Operation<number> = {
  name: 'READDIR',
  keeps: 'reply',
  call(filesystem, request, ctx, reply) {
    const sink = new ReplySink(reply, Math.min(request.u32(16), MAX_WRITE_BYTES), false);
    return lengthWhenDone(sink, filesystem.readdir(request.nodeid, request.offset(8, 'EINVAL'), sink, ctx));
  },
  encode: (_reply, length) => length,
};

const readdirplus: Operation<number> = {
  name: 'READDIRPLUS',
  keeps: 'reply',
  call(filesystem, request, ctx, reply) {
    const sink = new ReplySink(reply, Math.min(request.u32(16), MAX_WRITE_BYTES), true);
    return lengthWhenDone(
      sink,
      filesystem.readdirplus(request.nodeid, request.offset(8, 'EINVAL'), sink, ctx),
    );
  },
  encode: (_reply, length) => length,
  undo(filesystem, length, reply) {
    for (const ino of listedInodes(reply, length)) filesystem.forget(ino, 1);
  },
};

const fsyncdir: Operation<void> = {
  name: 'FSYNCDIR',
  call: (filesystem, request, ctx) =>
    filesystem.fsyncdir(request.nodeid, (request.u32(8) & FSYNC_FDATASYNC) !== 0, ctx),
  encode: encodeNothing,
};

const releasedir: Operation<void> = {
  name: 'RELEASEDIR',
  call: () => undefined,
  encode: encodeNothing,
};

/** The operations on folders. */
export const folderOperations: OperationTable = {
  [Opcode.READDIR]: readdir,
  [Opcode.READDIRPLUS]: readdirplus,
  [Opcode.FSYNCDIR]: fsyncdir,
  [Opcode.RELEASEDIR]: releasedir,
};
