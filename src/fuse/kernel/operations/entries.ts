// Names: looking them up, and making what they stand for.
import { Errno } from '../../../util/errno.ts';
import type { Entry, Filesystem, OpenedFile } from '../../filesystem.ts';
import type { Reply } from '../codec/reply.ts';
import { writeEntry, writeNegativeEntry, writeOpen } from '../codec/structures.ts';
import { type Operation, type OperationTable, encodeNothing } from '../operation.ts';
import { O_APPEND, Opcode } from '../protocol.ts';

const PERMISSION_BITS = 0o7777;

const encodeEntry = (reply: Reply, entry: Entry): number => writeEntry(reply, 0, entry);
const forgetEntry = (filesystem: Filesystem, entry: Entry): void =>
  filesystem.forget(entry.node ?? entry.attributes.ino, 1);

const lookup: Operation<Entry> = {
  name: 'LOOKUP',
  call: (filesystem, request, ctx) => filesystem.lookup(request.nodeid, request.name(0), ctx),
  encode: encodeEntry,
  recover: (reply, errno, { negativeTtl }) =>
    errno === Errno.ENOENT && negativeTtl > 0 ? writeNegativeEntry(reply, negativeTtl) : undefined,
  undo: forgetEntry,
};

const mknod: Operation<Entry> = {
  name: 'MKNOD',
  call: (filesystem, request, ctx) =>
    filesystem.mknod(request.nodeid, request.name(16), request.u32(0), request.u32(4), ctx),
  encode: encodeEntry,
  undo: forgetEntry,
};

const mkdir: Operation<Entry> = {
  name: 'MKDIR',
  call: (filesystem, request, ctx) =>
    filesystem.mkdir(request.nodeid, request.name(8), request.u32(0) & PERMISSION_BITS, ctx),
  encode: encodeEntry,
  undo: forgetEntry,
};

const symlink: Operation<Entry> = {
  name: 'SYMLINK',
  call(filesystem, request, ctx) {
    const name = request.name(0);
    const target = Buffer.from(request.text(request.after(0)), 'latin1');
    return filesystem.symlink(request.nodeid, name, target, ctx);
  },
  encode: encodeEntry,
  undo: forgetEntry,
};

const link: Operation<Entry> = {
  name: 'LINK',
  call: (filesystem, request, ctx) => filesystem.link(request.u64(0), request.nodeid, request.name(8), ctx),
  encode: encodeEntry,
  undo: forgetEntry,
};

interface MadeFile {
  readonly entry: Entry;
  readonly file: OpenedFile;
}

const encodeMade = (reply: Reply, { entry, file }: MadeFile): number => {
  const length = writeEntry(reply, 0, entry);
  return length + writeOpen(reply, length, file);
};

const undoMade = (filesystem: Filesystem, { entry, file }: MadeFile): void => {
  filesystem.release(file.fh);
  forgetEntry(filesystem, entry);
};

const create: Operation<MadeFile> = {
  name: 'CREATE',
  call: (filesystem, request, ctx) =>
    filesystem.create(
      request.nodeid,
      request.name(16),
      request.u32(4) & PERMISSION_BITS,
      request.u32(0) & ~O_APPEND,
      ctx,
    ),
  encode: encodeMade,
  undo: undoMade,
};

const tmpfile: Operation<MadeFile> = {
  name: 'TMPFILE',
  call: (filesystem, request, ctx) =>
    filesystem.tmpfile(request.nodeid, request.u32(4) & PERMISSION_BITS, request.u32(0) & ~O_APPEND, ctx),
  encode: encodeMade,
  undo: undoMade,
};

const unlink: Operation<void> = {
  name: 'UNLINK',
  call: (filesystem, request, ctx) => filesystem.unlink(request.nodeid, request.name(0), ctx),
  encode: encodeNothing,
};

const rmdir: Operation<void> = {
  name: 'RMDIR',
  call: (filesystem, request, ctx) => filesystem.rmdir(request.nodeid, request.name(0), ctx),
  encode: encodeNothing,
};

const rename: Operation<void> = {
  name: 'RENAME',
  call: (filesystem, request, ctx) =>
    filesystem.rename(
      request.nodeid,
      request.name(8),
      request.u64(0),
      request.name(request.after(8)),
      0,
      ctx,
    ),
  encode: encodeNothing,
};

const rename2: Operation<void> = {
  name: 'RENAME2',
  call: (filesystem, request, ctx) =>
    filesystem.rename(
      request.nodeid,
      request.name(16),
      request.u64(0),
      request.name(request.after(16)),
      request.u32(8),
      ctx,
    ),
  encode: encodeNothing,
};

/** The operations on names. */
export const entryOperations: OperationTable = {
  [Opcode.LOOKUP]: lookup,
  [Opcode.MKNOD]: mknod,
  [Opcode.MKDIR]: mkdir,
  [Opcode.SYMLINK]: symlink,
  [Opcode.LINK]: link,
  [Opcode.CREATE]: create,
  [Opcode.TMPFILE]: tmpfile,
  [Opcode.UNLINK]: unlink,
  [Opcode.RMDIR]: rmdir,
  [Opcode.RENAME]: rename,
  [Opcode.RENAME2]: rename2,
};
