// The package fuse-native: what of it is used, and how it is loaded.
//
// Only its native half is used. The JavaScript around it answers a call after 15 s whatever happens, unmounts through a
// shell, passes on only part of what it is given, and hands values that do not fit the caller's buffer to the kernel.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** What a call belongs to: the memory of the libfuse thread that waits for the answer. */
export type ThreadMemory = Buffer;

/** Takes the answer to a call: 0 or more, or a negated errno, and what belongs to it. */
export type Signal = (thread: ThreadMemory, result: number, ...values: readonly unknown[]) => void;

/** Called for a request. */
export type Handler = (thread: ThreadMemory, operation: number, ...values: never[]) => void;

/** The functions of the native half that are used, by name; `op_NAME` and `fuse_native_signal_NAME` beside them. */
export interface FuseNativeAddon {
  readonly sizeof_fuse_thread_t: number;
  /**
   * Mounts, in the way that libfuse finds: as root by the system call, else through the program fusermount. Blocks until
   * it is mounted; requests come later. Throws an Error without a reason, which libfuse prints on stderr.
   *
   * @param options as one argument for libfuse: `-oNAME,NAME=VALUE`
   * @param session memory of the mount; must never be freed
   * @param allocate makes the memory of a thread; must never be freed
   * @param implemented for each operation whether libfuse is to know of it
   */
  fuse_native_mount(
    mountpoint: string,
    options: string,
    session: Buffer,
    self: object,
    allocate: (bytes: number) => Buffer,
    handlers: readonly (Handler | undefined)[],
    implemented: Uint32Array,
  ): void;
  /** Lets the process end although the session was not freed. */
  fuse_native_unmount(mountpoint: string, session: Buffer): void;
  readonly [name: string]: unknown;
}

/** The version whose native half this program knows. */
export const FUSE_NATIVE_VERSION = '2.2.6';

/** The package is not there, or does not work here; the message says why. */
export class FuseNativeMissing extends Error {
  override readonly name = 'FuseNativeMissing';
}

let addon: FuseNativeAddon | undefined;

/**
 * Loads the package's native half. Throws FuseNativeMissing, whose message tells what to do.
 *
 * @param from URL of the file from which the package is looked for
 */
export function loadFuseNative(from: string = import.meta.url): FuseNativeAddon {
  if (addon !== undefined && from === import.meta.url) return addon;
  try {
    const require = createRequire(from);
    const home = dirname(require.resolve('fuse-native/package.json'));
    const { version } = require('fuse-native/package.json') as { version: string };
    if (version !== FUSE_NATIVE_VERSION) throw new Error(`version ${version} is not ${FUSE_NATIVE_VERSION}`);
    // The package finds its binary in this way itself.
    const find = createRequire(`${home}/package.json`)('node-gyp-build') as (home: string) => FuseNativeAddon;
    addon = find(home);
    return addon;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new FuseNativeMissing(
      `the package fuse-native does not load (${reason}); install it with \`npm install fuse-native@${FUSE_NATIVE_VERSION}\` ` +
        'in the folder of scorpio (it brings a binary for Linux and macOS on x64, and is compiled elsewhere), ' +
        'or set fuse_binding = "kernel"',
      { cause: error },
    );
  }
}
