// Errno numbers and the error that carries one through every layer.
import { constants } from 'node:os';

/** The errno names of this platform and their (positive) numbers. */
export const Errno: Readonly<typeof constants.errno> = constants.errno;

/** A name of an errno, as `ENOENT`. */
export type ErrnoName = keyof typeof constants.errno;

const nameOf = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  if (!nameOf.has(number)) nameOf.set(number, name);
}

/** The name of an errno number, or `errno N` where the platform has none. */
export function errnoName(errno: number): string {
  return nameOf.get(errno) ?? `errno ${errno}`;
}

/**
 * A failure that a system call reports by this errno. It is thrown on ordinary paths too (ENOENT is normal), so it
 * takes no stack trace: that costs more than the call that fails.
 */
export class ErrnoError extends Error {
  override readonly name = 'ErrnoError';
  /** Positive errno number. */
  readonly errno: number;
  /** Symbolic name, as Node's own errors have it. */
  readonly code: string;

  constructor(errno: ErrnoName | number, message?: string, options?: { cause?: unknown }) {
    const number = typeof errno === 'number' ? errno : Errno[errno];
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message ?? errnoName(number), options);
    Error.stackTraceLimit = limit;
    this.errno = number;
    this.code = errnoName(number);
  }
}
