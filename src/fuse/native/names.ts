// Names between the package, whose strings are text, and the filesystem, whose names are bytes.
import { ErrnoError } from '../../util/errno.ts';

// oxlint-disable-next-line no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;
/** What the package puts in place of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd';

/** Text of the package as bytes (latin1). Throws EILSEQ where bytes were lost: they were no UTF-8. */
export function toBytes(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  if (text.includes(REPLACEMENT)) throw new ErrnoError('EILSEQ');
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Bytes (latin1) as text for the package; undefined where they are no UTF-8, so that they cannot be passed on. */
export function toText(bytes: string): string | undefined {
  if (!NOT_ASCII.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes(REPLACEMENT) ? undefined : text;
}

/** Folder and last name of a path other than `/`. */
export function splitPath(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/');
  return { folder: slash <= 0 ? '/' : path.slice(0, slash), name: path.slice(slash + 1) };
}

/** Whether libfuse made up this name for a file that was removed while it is open. */
export function isHiddenName(name: string): boolean {
  return /^\.fuse_hidden[0-9a-f]{16}$/.test(name);
}
