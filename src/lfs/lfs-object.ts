// The identity of a large file: what a pointer says of it.

/** SHA-256 of the content: 64 lower-case hexadecimal digits. */
export type LfsOid = string;

/** A large file by content. */
export interface LfsObject {
  readonly oid: LfsOid;
  /** Bytes. */
  readonly size: number;
}

/** A large file that somebody wants, and the path for which; the path is for messages only. UTF-8 text. */
export interface WantedObject extends LfsObject {
  readonly path: string;
}

/** Whether a text has the form of an oid. */
export function isLfsOid(text: string): boolean {
  return /^[0-9a-f]{64}$/u.test(text);
}
