// System errors in words for users.

/** `No such file or directory (os error 2)` for Node's system errors; the plain message of anything else. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, errno } = error as NodeJS.ErrnoException;
  const text =
    code === undefined ? undefined : error.message.match(new RegExp(`\\b${code}: ([^,]+)`, 'u'))?.[1];
  if (text === undefined || errno === undefined) return error.message;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)} (os error ${Math.abs(errno)})`;
}
