// What one kind of request consists of: reading its arguments, calling the filesystem, writing the result.
import type { Awaitable } from '../../util/types.ts';
import type { CallContext, Filesystem } from '../filesystem.ts';
import type { Reply } from './codec/reply.ts';
import type { Request } from './codec/request.ts';

/** How a request with an opcode is answered. `T` is what the filesystem's method returns. */
export interface Operation<T = unknown> {
  /** For reports, as `LOOKUP`. */
  readonly name: string;
  /**
   * Buffers that the call goes on using while its promise is pending: `request` where arguments point into it, `reply`
   * where it fills the reply in place. Without it, a pending call uses neither.
   */
  readonly keeps?: 'request' | 'reply';
  /** Reads the arguments and calls the filesystem. Fails as the filesystem's methods do. */
  call(filesystem: Filesystem, request: Request, ctx: CallContext, reply: Reply): Awaitable<T>;
  /** Writes the result into the body of the reply; returns its length. */
  encode(reply: Reply, value: T, filesystem: Filesystem): number;
  /** Writes the answer that a failure is after all and returns its length; undefined where it stays a failure. */
  recover?(reply: Reply, errno: number, filesystem: Filesystem): number | undefined;
  /** Takes back what the kernel never learnt of, because it no longer waits for this reply. */
  undo?(filesystem: Filesystem, value: T, reply: Reply): void;
}

/** Operations by opcode. */
export type OperationTable = Readonly<Record<number, Operation>>;

/** Encodes the empty reply. */
export function encodeNothing(): number {
  return 0;
}
