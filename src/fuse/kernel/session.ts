// One session: reads requests from the device, has them answered, and writes each reply exactly once.
//
// Buffers. A turn of the loop takes one request buffer and one reply buffer and uses them for every request that is
// answered at once. A call that stays pending and uses one of them (data of a WRITE, target of a READ) keeps it until
// it settles; the turn goes on with a spare.
import { performance } from 'node:perf_hooks';
import { Errno, ErrnoError } from '../../util/errno.ts';
import { lastErrno } from '../../util/libc.ts';
import { isNewFault, toErrno } from '../errno.ts';
import type { Filesystem } from '../filesystem.ts';
import type { OpenRequests } from '../fuse-mount.ts';
import { Caller } from './caller.ts';
import { Reply } from './codec/reply.ts';
import { Request } from './codec/request.ts';
import { answerInit, type OpenFeatures } from './init.ts';
import type { Operation } from './operation.ts';
import { operationFor, refusal } from './operations/table.ts';
import { watchReadable } from './poller.ts';
import { Opcode } from './protocol.ts';
import { isToStop } from './signals.ts';
import { Spares } from './spares.ts';
import { read, write } from './system-calls.ts';

/**
 * How long the device is polled after a reply before the event loop takes over, in ms: a client that works through
 * files often sends its next request within that, and spares both sides a sleep. Measured with 0 to 100 us: more than
 * this gains nothing, since waking up from the event loop is cheap, and takes the client's processor on small machines.
 */
const SPIN_MS = 0.02;
/** How long one turn may go on before timers, HTTP and other mounts get theirs, in ms. */
const TURN_MS = 2;
/** How often a call that goes on in spite of a signal looks for another one. */
const SIGNAL_POLL_MS = 100;

const OPEN = operationFor(Opcode.OPEN);

const requests = new Spares(() => new Request());
const replies = new Spares(() => new Reply());

/** What a session tells whoever runs it. */
export interface SessionEvents {
  /** INIT was answered: the mount works. */
  onReady(features: OpenFeatures): void;
  /** The device ended; the error says why where that was no unmount. Called once, and no request comes after it. */
  onEnd(error?: Error): void;
  /** A fault of this program or of the disk. */
  onFault(operation: string, error: unknown): void;
}

/** A pending call's key: the request's 64-bit number, exactly. */
const keyOf = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);

/** A running session on an open, mounted device. */
export class Session {
  readonly #fd: number;
  readonly #filesystem: Filesystem;
  readonly #events: SessionEvents;
  readonly #openRequests: OpenRequests;
  readonly #watch: { close(): void };
  readonly #pending = new Map<bigint, Caller>();
  #caller = new Caller();
  /** The buffers of the turn that runs. */
  #request!: Request;
  #reply!: Reply;
  #isOpen = true;
  #omitsOpen = false;
  #onIdle: (() => void) | undefined;

  constructor(
    fd: number,
    filesystem: Filesystem,
    events: SessionEvents,
    openRequests: OpenRequests = 'auto',
  ) {
    this.#fd = fd;
    this.#openRequests = openRequests;
    this.#filesystem = filesystem;
    this.#events = events;
    this.#watch = watchReadable(fd, () => this.#turn());
  }

  /** Whether the device still serves the mount. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the kernel was told to open files without asking. */
  get omitsOpen(): boolean {
    return this.#omitsOpen;
  }

  /** Interrupts all pending calls, and resolves when none is left. */
  async settle(): Promise<void> {
    for (const caller of this.#pending.values()) caller.interrupt();
    if (this.#pending.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Stops reading. The kernel's requests stay unanswered until the descriptor is closed. */
  stop(error?: Error): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#watch.close();
    this.#events.onEnd(error);
  }

  /** Serves what there is, and what comes right after. */
  #turn(): void {
    if (!this.#isOpen) return;
    this.#request = requests.take();
    this.#reply = replies.take();
    const turnEnd = performance.now() + TURN_MS;
    let spinEnd = 0;
    do {
      const length = read(this.#fd, this.#request.buffer, this.#request.buffer.length);
      if (length > 0) {
        this.#serveSafely(this.#request);
        const now = performance.now();
        // The watch fires again at once for what is left.
        if (now >= turnEnd) break;
        spinEnd = now + SPIN_MS;
      } else if (!this.#mayReadOn(lastErrno(), spinEnd)) {
        break;
      }
    } while (this.#isOpen);
    requests.give(this.#request);
    replies.give(this.#reply);
  }

  /** Whether to read again after a read that failed with this errno. */
  #mayReadOn(errno: number, spinEnd: number): boolean {
    switch (errno) {
      case Errno.EAGAIN:
        return performance.now() < spinEnd;
      // ENOENT: the request was taken back while it was read.
      case Errno.EINTR:
      case Errno.ENOENT:
        return true;
      case Errno.ENODEV:
        this.stop();
        return false;
      default:
        this.stop(new ErrnoError(errno, `reading from /dev/fuse failed with errno ${errno}`));
        return false;
    }
  }

  /** Serves a request; a fault of the dispatch itself becomes an answer too. */
  #serveSafely(request: Request): void {
    const { opcode, uniqueLow, uniqueHigh } = request;
    try {
      this.#serve(request);
    } catch (error) {
      this.#events.onFault(`opcode ${opcode}`, error);
      const hasReply =
        opcode !== Opcode.FORGET && opcode !== Opcode.BATCH_FORGET && opcode !== Opcode.INTERRUPT;
      // Where the fault came after the reply, the kernel ignores this second one.
      if (hasReply) this.#refuse(this.#reply, uniqueLow, uniqueHigh, Errno.EIO);
    }
  }

  #serve(request: Request): void {
    const { opcode } = request;
    switch (opcode) {
      case Opcode.FORGET:
        this.#filesystem.forget(request.nodeid, request.u64(0));
        return;
      case Opcode.BATCH_FORGET: {
        const count = request.u32(0);
        for (let at = 8; at < 8 + count * 16; at += 16)
          this.#filesystem.forget(request.u64(at), request.u64(at + 8));
        return;
      }
      case Opcode.INTERRUPT:
        this.#interrupt(keyOf(request.u32(0), request.u32(4)));
        return;
      case Opcode.NOTIFY_REPLY:
        return;
      case Opcode.INIT:
        this.#init(request);
        return;
      default: {
        const operation = operationFor(opcode);
        if (operation) this.#run(operation, request);
        else this.#refuse(this.#reply, request.uniqueLow, request.uniqueHigh, refusal(opcode));
      }
    }
  }

  /**
   * Ends a call whose process is to stop. The kernel tells of the first signal alone, whatever it is; so one that is no
   * reason to stop is followed by a look for others.
   */
  #interrupt(key: bigint): void {
    const caller = this.#pending.get(key);
    // A request that is not pending has been answered.
    if (caller === undefined) return;
    if (isToStop(caller.pid)) caller.interrupt();
    else setTimeout(() => this.#interrupt(key), SIGNAL_POLL_MS).unref();
  }

  #run(operation: Operation, request: Request): void {
    const { uniqueLow, uniqueHigh } = request;
    const caller = this.#caller;
    const reply = this.#reply;
    caller.assign(request);
    let result: unknown;
    try {
      result = operation.call(this.#filesystem, request, caller, reply);
    } catch (error) {
      this.#fail(operation, error, reply, uniqueLow, uniqueHigh);
      if (caller.isTaken) this.#caller = new Caller();
      return;
    }
    if (result instanceof Promise) {
      this.#caller = new Caller();
      this.#defer(operation, result, caller, uniqueLow, uniqueHigh);
      return;
    }
    this.#succeed(operation, result, reply, uniqueLow, uniqueHigh);
    if (caller.isTaken) this.#caller = new Caller();
  }

  /** Answers when the promise settles. */
  #defer(operation: Operation, result: Promise<unknown>, caller: Caller, low: number, high: number): void {
    const key = keyOf(low, high);
    this.#pending.set(key, caller);
    const keptRequest = operation.keeps === 'request' ? this.#request : undefined;
    if (keptRequest) this.#request = requests.take();
    const keptReply = operation.keeps === 'reply' ? this.#reply : undefined;
    if (keptReply) this.#reply = replies.take();

    const settled = (): void => {
      this.#pending.delete(key);
      if (this.#pending.size === 0) this.#onIdle?.();
    };
    result.then(
      (value) => {
        const reply = keptReply ?? replies.take();
        this.#succeed(operation, value, reply, low, high);
        replies.give(reply);
        if (keptRequest) requests.give(keptRequest);
        settled();
      },
      (error: unknown) => {
        // Kept buffers are not used again: what failed may have left a read or a write behind that still uses them.
        const reply = replies.take();
        this.#fail(operation, error, reply, low, high);
        replies.give(reply);
        settled();
      },
    );
  }

  #succeed(operation: Operation, value: unknown, reply: Reply, low: number, high: number): void {
    let length: number;
    try {
      length = operation.encode(reply, value, this.#filesystem);
    } catch (error) {
      this.#events.onFault(operation.name, error);
      this.#refuse(reply, low, high, Errno.EIO);
      return;
    }
    const errno = this.#write(reply, reply.seal(low, high, length));
    if (errno === 0) return;
    if (errno === Errno.ENOENT || errno === Errno.ENODEV) {
      operation.undo?.(this.#filesystem, value, reply);
      return;
    }
    this.#events.onFault(
      operation.name,
      new ErrnoError(errno, `the kernel refused a reply with errno ${errno}`),
    );
    this.#refuse(reply, low, high, Errno.EIO);
  }

  #fail(operation: Operation, error: unknown, reply: Reply, low: number, high: number): void {
    if (isNewFault(error)) this.#events.onFault(operation.name, error);
    const errno = toErrno(error);
    if (errno === Errno.ENOSYS && operation === OPEN) this.#omitsOpen = true;
    const length = operation.recover?.(reply, errno, this.#filesystem);
    if (length === undefined) this.#refuse(reply, low, high, errno);
    else this.#write(reply, reply.seal(low, high, length));
  }

  #refuse(reply: Reply, low: number, high: number, errno: number): void {
    this.#write(reply, reply.seal(low, high, 0, errno));
  }

  /** Writes a reply; returns the errno, 0 for success. ENOENT: nobody waits for it any more. */
  #write(reply: Reply, length: number): number {
    // After the end the number of the descriptor may belong to somebody else.
    if (!this.#isOpen) return Errno.ENODEV;
    return write(this.#fd, reply.buffer, length) < 0 ? lastErrno() : 0;
  }

  #init(request: Request): void {
    const { outcome, length, ...features } = answerInit(request, this.#reply, this.#openRequests);
    const { uniqueLow, uniqueHigh } = request;
    if (outcome === 'too-old') {
      this.#refuse(this.#reply, uniqueLow, uniqueHigh, Errno.EPROTO);
      this.stop(
        new ErrnoError(
          'EPROTO',
          'the FUSE protocol of this kernel is too old: Linux 3.15 is the first that works',
        ),
      );
      return;
    }
    this.#write(this.#reply, this.#reply.seal(uniqueLow, uniqueHigh, length));
    if (outcome === 'done') this.#events.onReady(features);
  }
}
