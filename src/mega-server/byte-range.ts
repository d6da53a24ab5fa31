// The Range header (RFC 9110, section 14) for one range of bytes.

/** What a Range header asks of a content: all of it, one part of it (bytes, both ends included), or nothing it has. */
export type ByteRange = 'whole' | 'unsatisfiable' | { readonly first: number; readonly last: number };

/**
 * Reads a Range header for a content of `size` bytes. Ranges that a server may ignore (several at once, other units,
 * nonsense) mean the whole content.
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/iu.exec(header ?? '');
  if (match === null) return 'whole';
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return 'whole';
  if (from === '') {
    const length = Math.min(Number(to), size);
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 };
  }
  const first = Number(from);
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== '' && Number(to) < first) return 'whole';
  return first >= size ? 'unsatisfiable' : { first, last };
}
