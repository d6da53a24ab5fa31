// Failures of the local store, in words for the user.
import { codeOf, isDiskFull } from '../util/disk-full.ts';
import { Errno, ErrnoError } from '../util/errno.ts';

/**
 * - `newer`: a newer version of Scorpio made the store.
 * - `locked`: another process keeps the database locked.
 * - `permission`: this user may not read or write it.
 * - `full`: no space left.
 * - `io`: the disk failed, or something is there that is no store.
 */
export type StoreErrorKind = 'newer' | 'locked' | 'permission' | 'full' | 'io';

/** The store cannot be opened; the message says why and what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
  }
}

const kindOfCode: Readonly<Record<string, StoreErrorKind>> = {
  EACCES: 'permission',
  EPERM: 'permission',
  EROFS: 'permission',
  SQLITE_CANTOPEN: 'permission',
  SQLITE_READONLY: 'permission',
  SQLITE_PERM: 'permission',
  SQLITE_BUSY: 'locked',
  SQLITE_LOCKED: 'locked',
};

const advice: Readonly<Record<StoreErrorKind, string>> = {
  newer: 'update Scorpio, or use another store_path',
  locked: 'another process holds it; end that process, or try again',
  permission: 'check owner and permissions of the folder, or set store_path to one that you may write to',
  full: 'free space on that disk, or set store_path to another one',
  io: 'check the disk, or set store_path to another one',
};

/** The StoreError for whatever made opening the store at `path` fail. */
export function toStoreError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = codeOf(error);
  // Extended codes of SQLite go on after the primary one: SQLITE_READONLY_DIRECTORY.
  const primary = code.startsWith('SQLITE_') ? code.split('_').slice(0, 2).join('_') : code;
  const kind = isDiskFull(error) ? 'full' : (kindOfCode[primary] ?? 'io');
  const reason = error instanceof Error ? error.message : String(error);
  return new StoreError(kind, `cannot open the local store ${path}: ${reason}; ${advice[kind]}`, {
    cause: error,
  });
}

/** The ErrnoError for a failed system call on a file of the store. A full quota counts as a full disk. */
export function toDiskError(error: unknown, path: string): Error {
  if (error instanceof ErrnoError || !(error instanceof Error)) return error as Error;
  const code = codeOf(error);
  if (isDiskFull(error)) {
    return new ErrnoError('ENOSPC', `no space left for the local store (${path}); ${advice.full}`, {
      cause: error,
    });
  }
  const errno = (Errno as Readonly<Record<string, number>>)[code];
  if (errno === undefined) return error;
  return new ErrnoError(errno, `the local store failed (${path}): ${error.message}`, { cause: error });
}
