// Drives the binding over fuse-native as the package does: its handlers, called with what libfuse would pass.
import { NativeSession } from '../../src/fuse/native/native-session.ts';
import { nativeOperations } from '../../src/fuse/native/operations.ts';
import type { FuseNativeAddon } from '../../src/fuse/native/package.ts';
import { PathFilesystem } from '../../src/fuse/native/path-filesystem.ts';
import type { Filesystem } from '../../src/fuse/filesystem.ts';
import { errnoName } from '../../src/util/errno.ts';

/** What a call was answered with. */
export interface DriverAnswer {
  /** 0 or more, or the name of the errno. */
  readonly result: number | string;
  readonly values: readonly unknown[];
}

/** Memory of a libfuse thread; times lie at 104. */
const THREAD_BYTES = 300;
const ATIME_OFFSET = 104;
const TWO_POW_32 = 2 ** 32;

const split = (value: number): [low: number, high: number] => [
  ((value % TWO_POW_32) + TWO_POW_32) % TWO_POW_32,
  Math.floor(value / TWO_POW_32) >>> 0,
];

/** A session over a filesystem, with what a test needs to see. */
export class NativeDriver {
  readonly faults: { operation: string; error: unknown }[] = [];
  readonly unlisted: string[] = [];
  readonly paths: PathFilesystem;
  readonly session: NativeSession;
  readonly #numbers = new Map<string, number>();
  readonly #answers = new Map<Buffer, (answer: DriverAnswer) => void>();

  constructor(filesystem: Filesystem) {
    const addon: Record<string, unknown> = {};
    for (const [number, name] of ['init', ...Object.keys(nativeOperations)].entries()) {
      this.#numbers.set(name, number);
      addon[`op_${name}`] = number;
      addon[`fuse_native_signal_${name}`] = (thread: Buffer, result: number, ...values: unknown[]): void => {
        const resolve = this.#answers.get(thread);
        if (resolve === undefined) throw new Error(`${name} was answered twice`);
        this.#answers.delete(thread);
        resolve({ result: result < 0 ? errnoName(-result) : result, values });
      };
    }
    this.paths = new PathFilesystem(filesystem, (_folder, name) => this.unlisted.push(name));
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    this.session = new NativeSession(addon as unknown as FuseNativeAddon, this.paths, owner, {
      onReady: () => undefined,
      onFault: (operation, error) => this.faults.push({ operation, error }),
    });
  }

  /** Calls a handler; resolves with what it was answered. */
  call(name: string, ...args: unknown[]): Promise<DriverAnswer> {
    return this.#call(name, Buffer.alloc(THREAD_BYTES), args);
  }

  /** As `call`; throws the errno's name unless the call succeeds. */
  async do(name: string, ...args: unknown[]): Promise<readonly unknown[]> {
    const { result, values } = await this.call(name, ...args);
    if (typeof result === 'string') throw new Error(`${name} ${String(args[0])}: ${result}`);
    return values;
  }

  async stat(path: string): Promise<{ mode: number; size: number; nlink: number; ino: number }> {
    const [numbers] = (await this.do('getattr', path)) as [Uint32Array];
    const at = (index: number): number => numbers[index] ?? 0;
    return { mode: at(0), size: at(4) * TWO_POW_32 + at(3), nlink: at(6), ino: at(7) };
  }

  async names(path: string): Promise<string[]> {
    const [names] = (await this.do('readdir', path)) as [string[]];
    return names.filter((name) => name !== '.' && name !== '..').sort();
  }

  async open(path: string, flags = 0): Promise<number> {
    return (await this.do('open', path, flags))[0] as number;
  }

  async create(path: string, mode = 0o644): Promise<number> {
    return (await this.do('create', path, mode))[0] as number;
  }

  async read(handle: number, length = 1000, position = 0): Promise<string> {
    const target = Buffer.alloc(length);
    const { result, values } = await this.call('read', '-', handle, target, length, ...split(position));
    if (typeof result === 'string') throw new Error(result);
    if (values[1] !== target.buffer) throw new Error('the buffer was not given back');
    return target.toString('latin1', 0, result);
  }

  async write(handle: number, text: string, position = 0): Promise<number | string> {
    const data = Buffer.from(text);
    return (await this.call('write', '-', handle, data, data.length, ...split(position))).result;
  }

  /** utimens(2), as version 2.2.6 of the package calls it: the second time only lies in the thread's memory. */
  async utimens(path: string, atimeMs: number, mtimeMs: number): Promise<void> {
    const thread = Buffer.alloc(THREAD_BYTES);
    for (const [index, number] of [...split(atimeMs), ...split(mtimeMs)].entries())
      thread.writeUInt32LE(number, ATIME_OFFSET + index * 4);
    const atime = split(atimeMs);
    const { result } = await this.#call('utimens', thread, [path, ...atime, ...atime]);
    if (result !== 0) throw new Error(String(result));
  }

  async #call(name: string, thread: Buffer, args: unknown[]): Promise<DriverAnswer> {
    const number = this.#numbers.get(name);
    const handler = number === undefined ? undefined : this.session.handlers[number];
    if (number === undefined || handler === undefined) throw new Error(`no operation ${name}`);
    return new Promise((resolve) => {
      this.#answers.set(thread, resolve);
      handler(thread, number, ...(args as never[]));
    });
  }
}
