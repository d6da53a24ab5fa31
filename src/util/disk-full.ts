// Errors of the disk by their codes.

/** The `code` of a Node or SQLite error (`ENOSPC`, `SQLITE_FULL`), or an empty text. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}

// The last one: no room for the index of a write-ahead log.
const FULL_CODES: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'SQLITE_IOERR_SHMSIZE']);

/** Whether an error says that the disk, or the quota of the user, is full. */
export function isDiskFull(error: unknown): boolean {
  return FULL_CODES.has(codeOf(error));
}
