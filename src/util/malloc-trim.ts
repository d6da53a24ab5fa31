// Giving memory that was freed back to the system.
import { libc } from './libc.ts';

type Trim = (pad: number) => number;

function findTrim(): Trim | undefined {
  try {
    return libc.func('int malloc_trim(size_t pad)');
  } catch {
    // Not GNU's C library: others give memory back by themselves.
    return undefined;
  }
}

let trim: Trim | undefined | null = null;

/** malloc_trim(3): makes the C library return what it holds without use. Takes milliseconds. */
export function mallocTrim(): void {
  if (trim === null) trim = findTrim();
  trim?.(0);
}
