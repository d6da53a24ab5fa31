// One session: takes the calls of libfuse's threads, has them answered, and answers each exactly once.
import { Errno, ErrnoError } from '../../util/errno.ts';
import { isNewFault, toErrno } from '../errno.ts';
import { Caller } from '../kernel/caller.ts';
import type { NativeOperation } from './operations.ts';
import { nativeOperations } from './operations.ts';
import type { FuseNativeAddon, Handler, Signal, ThreadMemory } from './package.ts';
import type { PathFilesystem } from './path-filesystem.ts';

/** Places in the table of operations. */
const MOST_OPERATIONS = 35;

/** What a session tells whoever runs it. */
export interface NativeSessionEvents {
  /** The kernel began: the mount works. */
  onReady(): void;
  onFault(operation: string, error: unknown): void;
}

/** Who new objects belong to: the package does not tell who calls. */
export interface MountOwner {
  readonly uid: number;
  readonly gid: number;
}

/** A running session. */
export class NativeSession {
  readonly handlers: readonly (Handler | undefined)[];
  readonly implemented: Uint32Array = new Uint32Array(MOST_OPERATIONS);
  readonly #filesystem: PathFilesystem;
  readonly #owner: MountOwner;
  readonly #events: NativeSessionEvents;
  readonly #pending = new Set<Caller>();
  #caller: Caller;
  #isOpen = true;
  #onIdle: (() => void) | undefined;

  constructor(
    addon: FuseNativeAddon,
    filesystem: PathFilesystem,
    owner: MountOwner,
    events: NativeSessionEvents,
  ) {
    this.#filesystem = filesystem;
    this.#owner = owner;
    this.#events = events;
    this.#caller = this.#newCaller();
    const handlers: (Handler | undefined)[] = [];
    const add = (name: string, makeHandler: (signal: Signal) => Handler): void => {
      const number = addon[`op_${name}`] as number;
      handlers[number] = makeHandler(addon[`fuse_native_signal_${name}`] as Signal);
      this.implemented[number] = 1;
    };
    add('init', (signal) => (thread) => {
      signal(thread, 0);
      events.onReady();
    });
    for (const [name, operation] of Object.entries(nativeOperations)) {
      add(
        name,
        (signal) =>
          (thread, _number, ...args) =>
            this.#run(name, operation, signal, thread, args),
      );
    }
    // The package goes through the list, and would stumble over holes.
    this.handlers = Array.from(
      { length: MOST_OPERATIONS },
      (_, number) => handlers[number] ?? (() => undefined),
    );
  }

  /** Interrupts the calls that are pending. */
  interrupt(): void {
    for (const caller of this.#pending) caller.interrupt();
  }

  /** Answers every later call with ENODEV, interrupts the pending ones, and resolves when none is left. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.interrupt();
    if (this.#pending.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #newCaller(): Caller {
    const caller = new Caller();
    caller.uid = this.#owner.uid;
    caller.gid = this.#owner.gid;
    return caller;
  }

  #run(
    name: string,
    operation: NativeOperation,
    signal: Signal,
    thread: ThreadMemory,
    args: readonly never[],
  ): void {
    const refuse = (error: unknown): void => {
      if (isNewFault(error)) this.#events.onFault(name.toUpperCase(), error);
      signal(thread, -toErrno(error), ...operation.refuse(args));
    };
    if (!this.#isOpen) {
      signal(thread, -Errno.ENODEV, ...operation.refuse(args));
      return;
    }
    const succeed = (value: unknown): void => {
      let answer;
      try {
        answer = operation.answer(value, args);
      } catch (error) {
        refuse(error);
        return;
      }
      signal(thread, answer.result, ...answer.values);
    };
    const caller = this.#caller;
    let value: unknown;
    try {
      value = operation.call(this.#filesystem, { ctx: caller, thread }, args);
    } catch (error) {
      if (caller.isTaken) this.#caller = this.#newCaller();
      refuse(error);
      return;
    }
    if (caller.isTaken || value instanceof Promise) this.#caller = this.#newCaller();
    if (value instanceof Promise) this.#defer(value, caller, succeed, refuse);
    else succeed(value);
  }

  /** Answers when the promise settles. */
  #defer(
    value: Promise<unknown>,
    caller: Caller,
    succeed: (value: unknown) => void,
    refuse: (error: unknown) => void,
  ): void {
    this.#pending.add(caller);
    // A call that came before the end was noticed, and after the others were interrupted.
    if (!this.#isOpen) caller.interrupt();
    void value.then(succeed, refuse).finally(() => {
      this.#pending.delete(caller);
      if (this.#pending.size === 0) this.#onIdle?.();
    });
  }
}

/** What a session that ended before it began says. */
export function notStarted(mountpoint: string): ErrnoError {
  return new ErrnoError('ENODEV', `the mount on ${mountpoint} ended before it was ready`);
}
