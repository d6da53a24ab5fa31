// Paths of the repository and URLs of Mega's API.
import { percentEncodeBytes } from '../../util/percent-encode.ts';
import { UpstreamError } from '../upstream-error.ts';

/** The URL path of an API route with its query; values are latin1 binary strings, those left out are undefined. */
export function apiPath(route: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parts.push(`${name}=${percentEncodeBytes(value)}`);
  }
  return `/api/v1${route}${parts.length === 0 ? '' : `?${parts.join('&')}`}`;
}

/**
 * A repository path in its one form: a leading slash, none doubled or trailing, no `.`. Throws UpstreamError
 * (`not-found`) for `..` and NUL, which no path of a repository has.
 */
export function normalizeRepositoryPath(path: string): string {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..') || path.includes('\0')) {
    throw new UpstreamError('not-found', `'${displayPath(path)}' is no path of a repository`);
  }
  return `/${names.join('/')}`;
}

/** The absolute repository path of `below`, which is relative to `path`. */
export function joinRepositoryPath(path: string, below: string): string {
  return normalizeRepositoryPath(`${path}/${below}`);
}

/** A binary path as text for messages. */
export function displayPath(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}
