// The C library, loaded once, for the system calls that Node does not offer.
import koffi, { type LibraryHandle } from 'koffi';

/** The C library; declare functions with `libc.func('int name(...)')`. */
export const libc: LibraryHandle = koffi.load('libc.so.6');

/**
 * The errno that the last synchronous call through `libc` left, positive. Read it at once, before anything else runs.
 * After an asynchronous call it means nothing: that one ran in another thread.
 */
export function lastErrno(): number {
  return koffi.errno();
}
