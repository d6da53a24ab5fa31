// Percent-encoding of bytes.

const unreserved = /^[A-Za-z0-9._~-]$/;

const encodedByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return unreserved.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/**
 * The percent-encoded form of the bytes of a latin1 binary string: every byte that is not unreserved in a URI becomes
 * `%XX`, also `/`. Throws RangeError when a character is no byte.
 */
export function percentEncodeBytes(binary: string): string {
  let encoded = '';
  for (let at = 0; at < binary.length; at++) {
    const piece = encodedByte[binary.charCodeAt(at)];
    if (piece === undefined)
      throw new RangeError('percentEncodeBytes takes a binary string: one character a byte');
    encoded += piece;
  }
  return encoded;
}
