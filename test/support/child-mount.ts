// A mount that a child process serves over the small filesystem of tree-filesystem.mjs, and commands for that child.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** The child's program. */
export const MOUNT_CHILD: string = new URL('kernel-mount-child.mjs', import.meta.url).pathname;
/** After this, an answer does not come any more. */
export const TOO_LONG_MS = 10_000;

/** An error of the child. */
export interface Failure {
  code: string;
  message: string;
}
/** What the child tells of its mount. */
export interface Report {
  faults: (Failure & { operation: string })[];
  destroyed: number;
  connection: number;
  openFiles: number;
  forgotten: number;
}

/** How the child that mounts is started. */
export interface Start {
  command: string;
  args: string[];
}

/** A mount in a child process. */
export class ChildMount {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly #answers = new Map<number, (message: { result?: unknown; error?: Failure }) => void>();
  readonly #events = new Map<string, (message: { error?: Failure; destroyed?: number }) => void>();
  #lastId = 0;

  constructor(mountpoint: string, options: object, start?: Start) {
    const args = [MOUNT_CHILD, mountpoint, JSON.stringify(options)];
    this.child = spawn(
      start?.command ?? process.execPath,
      start ? [...start.args, process.execPath, ...args] : args,
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], cwd: '/' },
    );
    this.child.setMaxListeners(0);
    this.exited = once(this.child, 'exit');
    this.child.on(
      'message',
      (message: { id?: number; event?: string; result?: unknown; error?: Failure }) => {
        if (message.event) this.#events.get(message.event)?.(message);
        else this.#answers.get(message.id ?? 0)?.(message);
      },
    );
  }

  /** The next event of this name. */
  event(name: string): Promise<{ error?: Failure; destroyed?: number }> {
    const event = this.#waitFor<{ error?: Failure; destroyed?: number }>(name, (resolve) =>
      this.#events.set(name, resolve),
    );
    // A test that fails before it comes to wait for the event reports its own failure only.
    event.catch(() => undefined);
    return event;
  }

  /** The child's answer to a command. Rejects with the error, its `code` included. */
  async ask<T>(command: string, rest: object = {}): Promise<T> {
    const id = ++this.#lastId;
    return this.#waitFor<T>(command, (resolve, reject) => {
      this.#answers.set(id, ({ result, error }) =>
        error ? reject(Object.assign(new Error(), error)) : resolve(result as T),
      );
      this.child.send({ id, command, ...rest });
    });
  }

  async #waitFor<T>(
    what: string,
    start: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      start(resolve, reject);
      // Messages that came before the exit are delivered first.
      this.child.once('close', () => reject(new Error(`exit before ${what}`)));
      setTimeout(() => reject(new Error(`no ${what} in time`)), TOO_LONG_MS).unref();
    });
  }
}
