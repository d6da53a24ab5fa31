// Failures of the local store, in words for the user.
import { FULL_DISK_ADVICE } from '../util/disk-error.ts';
import { codeOf, isDiskFull } from '../util/disk-full.ts';

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
  full: FULL_DISK_ADVICE,
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
