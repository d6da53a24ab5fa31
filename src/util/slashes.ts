// Slashes at the ends of texts that others wrote. An expression like `/\/+$/` would look at each of a million slashes
// that something follows, and from each at all the rest: hours, in which nothing else is done.

/** A text without the slashes at its end. */
export function withoutTrailingSlashes(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === '/') end--;
  return text.slice(0, end);
}

/** A text without the slashes at its start and its end. */
export function withoutSlashesAround(text: string): string {
  return withoutTrailingSlashes(text).replace(/^\/+/u, '');
}
