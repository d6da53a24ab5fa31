// Extended attributes.
import { ErrnoError } from '../../../util/errno.ts';
import type { Awaitable } from '../../../util/types.ts';
import type { Reply } from '../codec/reply.ts';
import { type Operation, type OperationTable, encodeNothing } from '../operation.ts';
import { Opcode } from '../protocol.ts';

/** A value and the size of the caller's buffer; 0 asks for the length only. */
interface SizedValue {
  readonly value: Buffer;
  readonly size: number;
}

/** Puts the caller's buffer size beside the value. Throws ERANGE where the value does not fit. */
function sized(value: Awaitable<Buffer>, size: number): Awaitable<SizedValue> {
  const check = (value: Buffer): SizedValue => {
    if (size > 0 && value.length > size) throw new ErrnoError('ERANGE');
    return { value, size };
  };
  return value instanceof Promise ? value.then(check) : check(value);
}

function encodeSized(reply: Reply, { value, size }: SizedValue): number {
  if (size === 0) {
    reply.u32(0, value.length);
    reply.u32(4, 0);
    return 8;
  }
  reply.copy(0, value);
  return value.length;
}

const joinNames = (names: string[]): Buffer =>
  Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');

const getxattr: Operation<SizedValue> = {
  name: 'GETXATTR',
  call: (filesystem, request, ctx) =>
    sized(filesystem.getxattr(request.nodeid, request.text(8), ctx), request.u32(0)),
  encode: encodeSized,
};

const listxattr: Operation<SizedValue> = {
  name: 'LISTXATTR',
  call(filesystem, request, ctx) {
    const names = filesystem.listxattr(request.nodeid, ctx);
    return sized(names instanceof Promise ? names.then(joinNames) : joinNames(names), request.u32(0));
  },
  encode: encodeSized,
};

const setxattr: Operation<void> = {
  name: 'SETXATTR',
  call(filesystem, request, ctx) {
    // A copy: the filesystem may keep the value.
    const value = Buffer.from(request.bytes(request.after(8), request.u32(0)));
    return filesystem.setxattr(request.nodeid, request.text(8), value, request.u32(4), ctx);
  },
  encode: encodeNothing,
};

const removexattr: Operation<void> = {
  name: 'REMOVEXATTR',
  call: (filesystem, request, ctx) => filesystem.removexattr(request.nodeid, request.text(0), ctx),
  encode: encodeNothing,
};

/** The operations on extended attributes. */
export const xattrOperations: OperationTable = {
  [Opcode.GETXATTR]: getxattr,
  [Opcode.LISTXATTR]: listxattr,
  [Opcode.SETXATTR]: setxattr,
  [Opcode.REMOVEXATTR]: removexattr,
};
