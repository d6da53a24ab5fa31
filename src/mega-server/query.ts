// Query strings as bytes: names need not be UTF-8, so values are latin1 binary strings, a character a byte.
import { RequestError } from './envelope.ts';

const PATH_BYTES_MAX = 64 * 1024;

/** The parameters of a request's URL. */
export type Query = Readonly<Record<string, string | undefined>>;

/** The parameters of a URL as it was sent; see {@link parseQuery}. */
export function queryOf(url: string | undefined): Query {
  const mark = url?.indexOf('?') ?? -1;
  return parseQuery(mark < 0 ? '' : (url ?? '').slice(mark + 1));
}

/**
 * Parses a query string to binary strings: `%xx` is a byte, `+` a space, and a percent sign that starts no escape
 * stands for itself.
 *
 * @throws RequestError 400 when a parameter is there twice.
 */
export function parseQuery(query: string): Query {
  // No prototype: a parameter may be called anything.
  const values = Object.create(null) as Record<string, string>;
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const key = decodeBytes(equals < 0 ? pair : pair.slice(0, equals));
    // Two values would leave open which one is meant; Mega refuses them as well.
    if (key in values) throw new RequestError(400, `duplicate query parameter ${JSON.stringify(key)}`);
    values[key] = equals < 0 ? '' : decodeBytes(pair.slice(equals + 1));
  }
  return values;
}

function decodeBytes(text: string): string {
  return decodePathBytes(text.replaceAll('+', ' '));
}

/** The bytes of the path of a URL, as a binary string: there a plus sign is one. */
export function decodePathBytes(text: string): string {
  return text.replace(/%([0-9a-f]{2})/giu, (_escape, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/**
 * The names of a `path` parameter, from the root on; empty for the root. Slashes at the start, at the end and in a row
 * mean nothing; without the parameter the root is meant.
 *
 * @throws RequestError 400 for `..`, for NUL, and for a path without measure.
 */
export function parsePath(path = '/'): string[] {
  if (path.length > PATH_BYTES_MAX) throw new RequestError(400, `path has more than ${PATH_BYTES_MAX} bytes`);
  if (path.includes('\0')) throw new RequestError(400, 'path has a NUL byte');
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw new RequestError(400, 'path must not contain ".."');
  return names;
}
