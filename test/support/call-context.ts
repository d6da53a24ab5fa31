// Who calls, for tests that drive a filesystem without a binding.
import type { CallContext } from '../../src/fuse/filesystem.ts';

/** What a test may say of a caller; the rest is this process. */
export interface CallContextOptions {
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
  readonly signal?: AbortSignal;
}

/** A caller. As with a real binding, the signal exists only once somebody asks for it. */
export function createCallContext(options: CallContextOptions = {}): CallContext {
  let signal = options.signal;
  return {
    uid: options.uid ?? process.getuid?.() ?? 0,
    gid: options.gid ?? process.getgid?.() ?? 0,
    pid: options.pid ?? process.pid,
    get signal() {
      signal ??= new AbortController().signal;
      return signal;
    },
  };
}
