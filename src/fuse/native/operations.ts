// The operations of libfuse: from the package's arguments to the filesystem, and from its result to the package's.
//
// The arguments of each are those of libfuse's function of the same name, except that numbers of 64 bits come in two
// parts, low first. Every buffer that came with a call goes back with its answer, whatever that is.
import type { Awaitable } from '../../util/types.ts';
import { ErrnoError, type ErrnoName } from '../../util/errno.ts';
import { chain } from '../../util/chain.ts';
import { Spares } from '../kernel/spares.ts';
import type { Attributes, CallContext, FilesystemStatistics } from '../filesystem.ts';
import type { ThreadMemory } from './package.ts';
import type { ListedName, PathFilesystem } from './path-filesystem.ts';
import { encodeListed, encodeStat, encodeStatfs } from './stat-arrays.ts';
import { findModificationTime, joinMs } from './thread-memory.ts';

/** What belongs to a call beside its arguments. */
export interface NativeCall {
  readonly ctx: CallContext;
  readonly thread: ThreadMemory;
}

/** What goes back: the result, 0 or more, and the values that belong to it. */
export interface NativeAnswer {
  readonly result: number;
  readonly values: readonly unknown[];
}

/** How a call is answered. */
export interface NativeOperation {
  /** Calls the filesystem. Fails as its methods do. */
  readonly call: (filesystem: PathFilesystem, call: NativeCall, args: readonly never[]) => Awaitable<unknown>;
  /** The answer of a success. */
  readonly answer: (value: unknown, args: readonly never[]) => NativeAnswer;
  /** What goes with a failure. */
  readonly refuse: (args: readonly never[]) => readonly unknown[];
}

function operation<A extends readonly unknown[], T>(
  call: (filesystem: PathFilesystem, call: NativeCall, ...args: A) => Awaitable<T>,
  answer: (value: T, args: A) => NativeAnswer,
  refuse: (args: A) => readonly unknown[],
): NativeOperation {
  return {
    call: (filesystem, context, args) => call(filesystem, context, ...(args as unknown as A)),
    answer: (value, args) => answer(value as T, args as unknown as A),
    refuse: (args) => refuse(args as unknown as A),
  };
}

const NOTHING: readonly unknown[] = [];
const DONE: NativeAnswer = { result: 0, values: NOTHING };
const NO_STAT = [new Uint32Array(18)];
const NO_STATFS = [new Uint32Array(11)];
const NO_HANDLE = [0];
const NO_TARGET = [''];
const NO_LIST = [[], []];
/** What libfuse asks for in one READ or WRITE at most. */
const MOST_BYTES = 128 * 1024;
const UNCHANGED_ID = 0xffffffff;

/** An operation that answers nothing. */
function plain<A extends readonly unknown[]>(
  call: (filesystem: PathFilesystem, call: NativeCall, ...args: A) => Awaitable<void>,
): NativeOperation {
  return operation(
    call,
    () => DONE,
    () => NOTHING,
  );
}

/** A number of 64 bits. Throws what is given where it is too large to be exact, and for any disk. */
function toNumber(low: number, high: number, errno: ErrnoName): number {
  const value = high * 2 ** 32 + low;
  if (!Number.isSafeInteger(value)) throw new ErrnoError(errno);
  return value;
}

const toId = (id: number): number | undefined => (id === UNCHANGED_ID ? undefined : id);

const stat = (attributes: Attributes): NativeAnswer => ({ result: 0, values: [encodeStat(attributes)] });
const handle = (number: number): NativeAnswer => ({ result: 0, values: [number] });

/**
 * Buffers between the filesystem and libfuse, whose own are gone when a call was answered: a call that failed may have
 * left a read or a write behind that still uses its buffer.
 */
const buffers = new Spares(() => Buffer.allocUnsafeSlow(MOST_BYTES));

const read = operation(
  (
    filesystem,
    { ctx },
    _path: string,
    file: number,
    target: Buffer,
    length: number,
    low: number,
    high: number,
  ) => {
    const position = toNumber(low, high, 'EINVAL');
    const own = length <= MOST_BYTES ? buffers.take() : Buffer.allocUnsafeSlow(length);
    return chain(filesystem.read(file, own.subarray(0, length), position, ctx), (count) => {
      own.copy(target, 0, 0, count);
      if (own.length === MOST_BYTES) buffers.give(own);
      return count;
    });
  },
  (count, [, , target]) => ({ result: count, values: [0, target.buffer] }),
  ([, , target]) => [0, target.buffer],
);

const write = operation(
  (
    filesystem,
    { ctx },
    _path: string,
    file: number,
    data: Buffer,
    length: number,
    low: number,
    high: number,
  ) => {
    const position = toNumber(low, high, 'EFBIG');
    const own = length <= MOST_BYTES ? buffers.take() : Buffer.allocUnsafeSlow(length);
    data.copy(own, 0, 0, length);
    return chain(filesystem.write(file, own.subarray(0, length), position, ctx), (count) => {
      if (own.length === MOST_BYTES) buffers.give(own);
      return count;
    });
  },
  (count, [, , data]) => ({ result: count, values: [0, data.buffer] }),
  ([, , data]) => [0, data.buffer],
);

const utimens = plain(
  (
    filesystem,
    { ctx, thread },
    path: string,
    atimeLow: number,
    atimeHigh: number,
    mtimeLow: number,
    mtimeHigh: number,
  ) => {
    const mtime = findModificationTime(thread, atimeLow, atimeHigh) ?? joinMs(mtimeLow, mtimeHigh);
    return filesystem.utimens(path, joinMs(atimeLow, atimeHigh), mtime, ctx);
  },
);

/** Puts bytes into the caller's buffer, whose length 0 asks for how many there are. */
function fill(bytes: Buffer, target: Buffer): NativeAnswer {
  bytes.copy(target);
  return { result: bytes.length, values: [target.buffer] };
}

/** Throws ERANGE where the bytes do not fit. */
function fitting(bytes: Buffer, target: Buffer): Buffer {
  if (target.length > 0 && bytes.length > target.length) throw new ErrnoError('ERANGE');
  return bytes;
}

const getxattr = operation(
  (filesystem, { ctx }, path: string, name: string, target: Buffer) =>
    chain(filesystem.getxattr(path, name, ctx), (value) => fitting(value, target)),
  (value, [, , target]) => fill(value, target),
  ([, , target]) => [target.buffer],
);

const listxattr = operation(
  (filesystem, { ctx }, path: string, target: Buffer) =>
    chain(filesystem.listxattr(path, ctx), (names) =>
      fitting(Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'), target),
    ),
  (names, [, target]) => fill(names, target),
  ([, target]) => [target.buffer],
);

const setxattr = operation(
  (filesystem, { ctx }, path: string, name: string, value: Buffer, _position: number, flags: number) =>
    // A copy: the filesystem may keep the value.
    filesystem.setxattr(path, name, Buffer.from(value), flags, ctx),
  (_done, [, , value]) => ({ result: 0, values: [value.buffer] }),
  ([, , value]) => [value.buffer],
);

const readdir = operation(
  (filesystem, { ctx }, path: string) => filesystem.readdir(path, ctx),
  (listed: ListedName[]) => ({
    result: 0,
    values: [listed.map(({ name }) => name), listed.map(encodeListed)],
  }),
  () => NO_LIST,
);

/**
 * All operations by the name that the package has for them. Absent are ACCESS and FLUSH, which libfuse answers well by
 * itself, and OPENDIR: listings have no handle.
 */
export const nativeOperations: Readonly<Record<string, NativeOperation>> = {
  statfs: operation(
    (filesystem, { ctx }) => filesystem.statfs(ctx),
    (statistics: FilesystemStatistics) => ({ result: 0, values: [encodeStatfs(statistics)] }),
    () => NO_STATFS,
  ),
  getattr: operation(
    (filesystem, { ctx }, path: string) => filesystem.getattr(path, ctx),
    stat,
    () => NO_STAT,
  ),
  readdir,
  readlink: operation(
    (filesystem, { ctx }, path: string) => filesystem.readlink(path, ctx),
    (target) => ({ result: 0, values: [target] }),
    () => NO_TARGET,
  ),
  open: operation(
    (filesystem, { ctx }, path: string, flags: number) => filesystem.open(path, flags, ctx),
    handle,
    () => NO_HANDLE,
  ),
  create: operation(
    (filesystem, { ctx }, path: string, mode: number) => filesystem.create(path, mode, ctx),
    handle,
    () => NO_HANDLE,
  ),
  read,
  write,
  release: plain((filesystem, _call, _path: string, file: number) => filesystem.release(file)),
  fsync: plain((filesystem, { ctx }, _path: string, dataOnly: number, file: number) =>
    filesystem.fsync(file, dataOnly !== 0, ctx),
  ),
  fsyncdir: plain((filesystem, { ctx }, path: string, dataOnly: number) =>
    filesystem.fsyncdir(path, dataOnly !== 0, ctx),
  ),
  truncate: plain((filesystem, { ctx }, path: string, low: number, high: number) =>
    filesystem.truncate(path, toNumber(low, high, 'EFBIG'), ctx),
  ),
  ftruncate: plain((filesystem, { ctx }, _path: string, file: number, low: number, high: number) =>
    filesystem.ftruncate(file, toNumber(low, high, 'EFBIG'), ctx),
  ),
  utimens,
  chown: plain((filesystem, { ctx }, path: string, uid: number, gid: number) =>
    filesystem.chown(path, toId(uid), toId(gid), ctx),
  ),
  chmod: plain((filesystem, { ctx }, path: string, mode: number) => filesystem.chmod(path, mode, ctx)),
  mknod: plain((filesystem, { ctx }, path: string, mode: number, rdev: number) =>
    filesystem.mknod(path, mode, rdev, ctx),
  ),
  mkdir: plain((filesystem, { ctx }, path: string, mode: number) => filesystem.mkdir(path, mode, ctx)),
  symlink: plain((filesystem, { ctx }, target: string, path: string) =>
    filesystem.symlink(target, path, ctx),
  ),
  link: plain((filesystem, { ctx }, existing: string, path: string) => filesystem.link(existing, path, ctx)),
  unlink: plain((filesystem, { ctx }, path: string) => filesystem.unlink(path, ctx)),
  rmdir: plain((filesystem, { ctx }, path: string) => filesystem.rmdir(path, ctx)),
  rename: plain((filesystem, { ctx }, from: string, to: string) => filesystem.rename(from, to, ctx)),
  getxattr,
  listxattr,
  setxattr,
  removexattr: plain((filesystem, { ctx }, path: string, name: string) =>
    filesystem.removexattr(path, name, ctx),
  ),
};
