// Notifications: what the kernel should no longer believe, told in order and outside of any request.
import { Errno, ErrnoError } from '../../util/errno.ts';
import type { KernelNotifier, Passthrough } from '../filesystem.ts';
import type { OpenFeatures } from './init.ts';
import { openPassthrough } from './passthrough.ts';
import { NotifyCode, REPLY_HEADER_BYTES, TWO_POW_32 } from './protocol.ts';
import { inPatience, writeInBackground, writeInPool } from './system-calls.ts';

const PRUNED_AT_ONCE = 4096;

/** A notification with an empty body of `bodyLength` bytes. */
function notification(code: number, bodyLength: number): Buffer {
  const buffer = Buffer.alloc(REPLY_HEADER_BYTES + bodyLength);
  buffer.writeUInt32LE(buffer.length, 0);
  buffer.writeInt32LE(code, 4);
  return buffer;
}

/** Encodes the notification that attributes and content of an inode changed, see KernelNotifier. */
export function encodeInvalidateInode(ino: number, offset: number, length: number): Buffer {
  const buffer = notification(NotifyCode.INVAL_INODE, 24);
  buffer.writeBigUInt64LE(BigInt(ino), 16);
  buffer.writeBigInt64LE(BigInt(offset), 24);
  buffer.writeBigInt64LE(BigInt(length), 32);
  return buffer;
}

/** Encodes the notification that an entry changed or went away. */
export function encodeInvalidateEntry(parent: number, name: string): Buffer {
  const buffer = notification(NotifyCode.INVAL_ENTRY, 16 + name.length + 1);
  buffer.writeBigUInt64LE(BigInt(parent), 16);
  buffer.writeUInt32LE(name.length, 24);
  buffer.write(name, 32, 'latin1');
  return buffer;
}

/** Encodes the request to let go of unused inodes. */
export function encodePrune(inos: readonly number[]): Buffer {
  const buffer = notification(NotifyCode.PRUNE, 16 + inos.length * 8);
  buffer.writeUInt32LE(inos.length, 16);
  let at = 32;
  for (const ino of inos) {
    buffer.writeUInt32LE(ino >>> 0, at);
    buffer.writeUInt32LE(Math.floor(ino / TWO_POW_32), at + 4);
    at += 8;
  }
  return buffer;
}

/** A notification that waits for its turn. */
interface Queued {
  readonly message: Buffer;
  /** Called with the errno, 0 for success, instead of judging it here. */
  readonly onDone?: (errno: number) => void;
}

/**
 * Queues notifications and writes them one by one. The kernel may make such a write wait for locks that a request of
 * ours holds, so they are written in the background and never while a request is handled. That content is to be
 * forgotten is written beside the others: the kernel waits for the reads of it that are under way, and those may wait
 * for a server.
 */
export class Notifications implements KernelNotifier {
  readonly #onFault: ((operation: string, error: unknown) => void) | undefined;
  #fd: number | undefined;
  #queue: Queued[] = [];
  #pump: Promise<void> | undefined;
  /** Writes beside the queue that have begun. */
  readonly #underWay = new Set<Promise<number>>();

  constructor(onFault?: (operation: string, error: unknown) => void) {
    this.#onFault = onFault;
  }

  mayOmitOpen = false;
  #passthrough: Passthrough | undefined;

  /**
   * Starts to write to the device of a mount, with what the handshake settled. What is said before is dropped: the
   * kernel knows nothing yet.
   */
  open(fd: number, features: OpenFeatures): void {
    this.#fd = fd;
    this.mayOmitOpen = features.mayOmitOpen;
    if (!features.passthrough) return;
    this.#passthrough = openPassthrough(
      () => this.#fd,
      () => {
        this.#passthrough = undefined;
      },
    );
  }

  get passthrough(): Passthrough | undefined {
    return this.#passthrough;
  }

  invalidateInode(ino: number, offset: number, length: number): void {
    if (offset < 0) this.#send(() => encodeInvalidateInode(ino, offset, length));
    else if (this.#fd !== undefined) void this.#forgetContent(encodeInvalidateInode(ino, offset, length));
  }

  invalidateEntry(parent: number, name: string): void {
    this.#send(() => encodeInvalidateEntry(parent, name));
  }

  async prune(inos: readonly number[]): Promise<boolean> {
    // As many as one write may carry without holding up more urgent ones.
    for (let start = 0; start < inos.length; start += PRUNED_AT_ONCE) {
      const message = encodePrune(inos.slice(start, start + PRUNED_AT_ONCE));
      const errno = await new Promise<number>((resolve) => this.#enqueue({ message, onDone: resolve }));
      if (errno !== 0) return false;
    }
    return true;
  }

  async delivered(): Promise<void> {
    await this.#pump;
  }

  /** Drops what is queued and resolves when the write under way is over. The descriptor may be closed then. */
  async close(): Promise<void> {
    this.#fd = undefined;
    const dropped = this.#queue;
    this.#passthrough = undefined;
    this.#queue = [];
    for (const { onDone } of dropped) onDone?.(Errno.ENODEV);
    await this.#pump;
    // What has not begun by now finds that there is no descriptor.
    await Promise.all(this.#underWay);
  }

  async #forgetContent(message: Buffer): Promise<void> {
    const errno = await inPatience(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#fd === undefined) return Errno.ENODEV;
      const writing = writeInPool(this.#fd, message);
      this.#underWay.add(writing);
      try {
        return await writing;
      } finally {
        this.#underWay.delete(writing);
      }
    });
    this.#judge(errno);
  }

  #send(encode: () => Buffer): void {
    if (this.#fd !== undefined) this.#enqueue({ message: encode() });
  }

  #enqueue(queued: Queued): void {
    if (this.#fd === undefined) {
      queued.onDone?.(Errno.ENODEV);
      return;
    }
    this.#queue.push(queued);
    this.#pump ??= this.#run();
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#fd !== undefined && this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      for (const queued of batch) {
        // oxlint-disable-next-line typescript/no-unnecessary-condition
        if (this.#fd === undefined) queued.onDone?.(Errno.ENODEV);
        else await this.#write(this.#fd, queued);
      }
    }
    this.#pump = undefined;
  }

  async #write(fd: number, { message, onDone }: Queued): Promise<void> {
    const errno = await writeInBackground(fd, message);
    if (onDone !== undefined) {
      onDone(errno);
      return;
    }
    this.#judge(errno);
  }

  #judge(errno: number): void {
    // ENOENT: the kernel has no such inode or name cached. ENOTEMPTY: the entry is a folder in use, whose attributes
    // were invalidated all the same. ENODEV, ENOTCONN: the mount is ending.
    const expected = [0, Errno.ENOENT, Errno.ENOTEMPTY, Errno.ENODEV, Errno.ENOTCONN];
    if (!expected.includes(errno)) this.#onFault?.('NOTIFY', new ErrnoError(errno));
  }
}
