// The reason of a failure, for where its path is shown beside it.

/**
 * The message without the path that it begins with, which may be a longer one that ends with `path` (that of the file in
 * the monorepo, for a file of a mount).
 */
export function reasonOf(message: string, path: string): string {
  const prefix = `${path}: `;
  const at = message.indexOf(prefix);
  const isAtStart = at === 0 || (at > 0 && message[at - 1] === '/' && !message.slice(0, at).includes(': '));
  return isAtStart ? message.slice(at + prefix.length) : message;
}
