// The raw payload of a Git commit object: the parts of it that a reader shows.
import type { ObjectId } from '../util/types.ts';

/** A commit. Texts are decoded; what cannot be decoded is U+FFFD. */
export interface RawCommit {
  readonly tree: ObjectId;
  readonly parents: readonly ObjectId[];
  /** Name of the author, without the address. */
  readonly author: string;
  /** Name of the committer, without the address. */
  readonly committer: string;
  /** Committer time in seconds. */
  readonly time: number;
  /** First line of the message that is not empty, or `''`. */
  readonly subject: string;
}

/** A commit's payload cannot be read. */
export class MalformedCommitError extends Error {
  override readonly name = 'MalformedCommitError';
}

/**
 * Parses the payload of a commit object.
 *
 * @throws MalformedCommitError when it names no tree.
 */
export function parseRawCommit(payload: Uint8Array): RawCommit {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const blank = bytes.indexOf('\n\n');
  const headers = (blank < 0 ? bytes : bytes.subarray(0, blank)).toString('latin1').split('\n');
  const valueOf = (key: string) => headers.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1);
  const tree = valueOf('tree');
  if (tree === undefined || !/^[0-9a-f]{40}$/u.test(tree)) {
    throw new MalformedCommitError(
      'malformed commit object: it names no tree; check the repository with "git fsck"',
    );
  }
  const decode = decoderOf(valueOf('encoding'));
  const committer = valueOf('committer') ?? '';
  const lines = blank < 0 ? [] : decode(bytes.subarray(blank + 2)).split('\n');
  return {
    tree,
    parents: headers.filter((line) => line.startsWith('parent ')).map((line) => line.slice('parent '.length)),
    author: decode(Buffer.from(nameOf(valueOf('author') ?? ''), 'latin1')),
    committer: decode(Buffer.from(nameOf(committer), 'latin1')),
    time: Number(/> (-?\d+) [+-]\d+$/u.exec(committer)?.[1] ?? 0),
    subject: lines.map((line) => line.trim()).find((line) => line !== '') ?? '',
  };
}

/**
 * The payload of a commit without parents: author, committer and message are another commit's, the tree is given. So
 * Mega makes the history of a path that nobody has asked for yet.
 */
export function encodeParentlessCommit(payload: Uint8Array, tree: ObjectId): Buffer {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
  const blank = text.indexOf('\n\n');
  const headers = (blank < 0 ? text : text.slice(0, blank)).split('\n');
  const kept = headers.filter((line) => /^(?:author|committer|encoding) /u.test(line));
  const message = blank < 0 ? '\n' : text.slice(blank + 1);
  return Buffer.from([`tree ${tree}`, ...kept, message].join('\n'), 'latin1');
}

function nameOf(who: string): string {
  const address = who.indexOf('<');
  return (address < 0 ? who : who.slice(0, address)).trim();
}

function decoderOf(encoding: string | undefined): (bytes: Uint8Array) => string {
  try {
    const decoder = new TextDecoder(encoding ?? 'utf-8');
    return (bytes) => decoder.decode(bytes);
  } catch {
    // An encoding that this runtime does not know; most of such text is ASCII, which UTF-8 reads.
    return (bytes) => Buffer.from(bytes).toString('utf8');
  }
}
