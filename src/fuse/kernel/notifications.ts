// Notifications: what the kernel should no longer believe, told in order and outside of any request.
import { Errno, ErrnoError } from '../../util/errno.ts';
import type { KernelNotifier } from '../filesystem.ts';
import { NotifyCode, REPLY_HEADER_BYTES } from './protocol.ts';
import { writeInBackground } from './system-calls.ts';

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

/**
 * Queues notifications and writes them one by one. The kernel may make such a write wait for locks that a request of
 * ours holds, so they are written in the background and never while a request is handled.
 */
export class Notifications implements KernelNotifier {
  readonly #onFault: ((operation: string, error: unknown) => void) | undefined;
  #fd: number | undefined;
  #queue: Buffer[] = [];
  #pump: Promise<void> | undefined;

  constructor(onFault?: (operation: string, error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** Starts to write to the device of a mount. What is said before is dropped: the kernel knows nothing yet. */
  open(fd: number): void {
    this.#fd = fd;
  }

  invalidateInode(ino: number, offset: number, length: number): void {
    this.#send(() => encodeInvalidateInode(ino, offset, length));
  }

  invalidateEntry(parent: number, name: string): void {
    this.#send(() => encodeInvalidateEntry(parent, name));
  }

  /** Drops what is queued and resolves when the write under way is over. The descriptor may be closed then. */
  async close(): Promise<void> {
    this.#fd = undefined;
    this.#queue = [];
    await this.#pump;
  }

  #send(encode: () => Buffer): void {
    if (this.#fd === undefined) return;
    this.#queue.push(encode());
    this.#pump ??= this.#run();
  }

  async #run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#fd !== undefined && this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      for (const message of batch) {
        // oxlint-disable-next-line typescript/no-unnecessary-condition
        if (this.#fd === undefined) break;
        await this.#write(this.#fd, message);
      }
    }
    this.#pump = undefined;
  }

  async #write(fd: number, message: Buffer): Promise<void> {
    const errno = await writeInBackground(fd, message);
    // ENOENT: the kernel has no such inode or name cached. ENOTEMPTY: the entry is a folder in use, whose attributes
    // were invalidated all the same. ENODEV, ENOTCONN: the mount is ending.
    const expected = [0, Errno.ENOENT, Errno.ENOTEMPTY, Errno.ENODEV, Errno.ENOTCONN];
    if (!expected.includes(errno)) this.#onFault?.('NOTIFY', new ErrnoError(errno));
  }
}
