// The C library, loaded once, for the system calls that Node does not offer.
import koffi, { type LibraryHandle } from 'koffi';

/** The C library; declare functions with `libc.func('int name(...)')`. */
export const libc: LibraryHandle = koffi.load('libc.so.6');

/**
 * The errno that the last call through `libc` left, positive. Read it at once after a synchronous call, and first
 * thing in the callback of an asynchronous one; anything else that runs in between may change it.
 */
export function lastErrno(): number {
  return koffi.errno();
}
