// Pointers: the small texts that a Git repository has in the place of large files.
import { LfsError } from './lfs-error.ts';
import { isLfsOid, type LfsObject, type LfsOid } from './lfs-object.ts';

/** Longest pointer in bytes; a longer text is an ordinary file. */
export const POINTER_MAX_BYTES = 1024;

/** No pointer is shorter: that with the shortest version and size, and without a newline at its end; bytes. */
export const POINTER_MIN_BYTES = 114;

const VERSION = 'https://git-lfs.github.com/spec/v1';
/** What the same format was called before its publication; git-lfs reads them, too. */
const FORMER_VERSIONS = ['https://hawser.github.com/spec/v1', 'http://git-media.io/v/2'];

/** A program that changed the content before it became the large file, and the hash of what it was given. */
export interface PointerExtension {
  /** 0 to 9: the order in which they were applied; unique. */
  readonly priority: number;
  readonly name: string;
  readonly oid: LfsOid;
}

/** What a pointer is written from. */
export interface PointerContent extends LfsObject {
  /** Default: none. */
  readonly extensions?: readonly PointerExtension[];
  /** Keys that the specification does not know, with their values. Default: none. */
  readonly others?: readonly (readonly [key: string, value: string])[];
}

/** What a pointer says. */
export interface Pointer extends Required<PointerContent> {
  /** Whether it was written exactly as `formatPointer` writes it. */
  readonly isCanonical: boolean;
}

/**
 * Reads a pointer; undefined when the bytes are none. Takes what git-lfs takes (an older version URL, CRLF, empty lines,
 * white space around the text), and, beyond that, keys that it does not know in their place by the alphabet. An empty
 * file stands for itself and is no pointer. Sizes end at 2^53-1. The list of differences is in decision 0016.
 */
export function parsePointer(bytes: Uint8Array): Pointer | undefined {
  if (bytes.length > POINTER_MAX_BYTES || bytes.length < POINTER_MIN_BYTES) return undefined;
  const text = decode(bytes);
  if (text === undefined || !text.includes('version ')) return undefined;
  const lines = readLines(text.replace(SPACE_AROUND, ''));
  if (lines === undefined) return undefined;
  const { version, others } = lines;
  const oid = readOid(lines.oid);
  const size = readSize(lines.size);
  const extensions = readExtensions(lines.extensions);
  if (oid === undefined || size === undefined || extensions === undefined) return undefined;
  if (version !== VERSION && !FORMER_VERSIONS.includes(version)) return undefined;
  const content = { oid, size, extensions, others };
  return { ...content, isCanonical: version === VERSION && encode(content) === text };
}

/**
 * The one text of a pointer; no bytes for a file of size 0, which is never replaced. Throws LfsError (`invalid`) for what
 * no pointer can say, or when it becomes longer than POINTER_MAX_BYTES.
 */
export function formatPointer(content: PointerContent): Buffer {
  const { oid, size, extensions = [], others = [] } = content;
  if (!isLfsOid(oid) || !Number.isSafeInteger(size) || size < 0) {
    throw new LfsError('invalid', `no pointer can be written for oid ${oid} and size ${size}`);
  }
  const bytes = Buffer.from(encode({ oid, size, extensions, others }));
  if (size === 0) return bytes;
  // Whatever an extension or another key holds must not turn into something else when it is read.
  const breaksLines =
    extensions.some(({ name }) => /[ \n]/u.test(name)) || others.some((line) => line.join('').includes('\n'));
  if (breaksLines || parsePointer(bytes)?.isCanonical !== true) {
    throw new LfsError(
      'invalid',
      `no pointer can be written for oid ${oid}: its other keys are malformed, or take more than ${POINTER_MAX_BYTES} bytes`,
    );
  }
  return bytes;
}

function encode({ oid, size, extensions, others }: Required<PointerContent>): string {
  if (size === 0) return '';
  const lines = [
    ...extensions.map(
      (extension) => [`ext-${extension.priority}-${extension.name}`, `sha256:${extension.oid}`] as const,
    ),
    ['oid', `sha256:${oid}`] as const,
    ['size', String(size)] as const,
    ...others,
  ].sort(([left], [right]) => (left < right ? -1 : 1));
  return [['version', VERSION] as const, ...lines].map(([key, value]) => `${key} ${value}\n`).join('');
}

/** White space as Go has it, which git-lfs is written in; a byte order mark is none. */
const SPACE_AROUND =
  /^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/gu;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

interface Lines {
  readonly version: string;
  readonly oid: string;
  readonly size: string;
  /** By their keys; of two lines with the same key the second counts. */
  readonly extensions: ReadonlyMap<string, string>;
  readonly others: readonly (readonly [string, string])[];
}

const KNOWN_KEYS = ['version', 'oid', 'size'];
const OTHER_KEY = /^[a-z0-9.-]+$/u;

/** Splits the text into lines, and these into key and value, if they come in the order that they have to. */
function readLines(text: string): Lines | undefined {
  const known: string[] = [];
  const extensions = new Map<string, string>();
  const others: (readonly [string, string])[] = [];
  let last = '';
  for (const ended of text.split('\n')) {
    const line = ended.endsWith('\r') ? ended.slice(0, -1) : ended;
    if (line === '') continue;
    const space = line.indexOf(' ');
    if (space < 0) return undefined;
    const key = line.slice(0, space);
    const value = line.slice(space + 1);
    if (key === KNOWN_KEYS[known.length] && (known.length === 0 || key > last)) {
      known.push(value);
      if (known.length > 1) last = key;
    } else if (key.startsWith('ext-')) {
      if (known.length === KNOWN_KEYS.length) return undefined;
      extensions.set(key, value);
    } else {
      const isInPlace = known.length > 0 && key > last && !KNOWN_KEYS.includes(key);
      if (!isInPlace || !OTHER_KEY.test(key) || value === '' || value.includes('\r')) return undefined;
      others.push([key, value]);
      last = key;
    }
  }
  const [version, oid, size] = known;
  if (version === undefined || oid === undefined || size === undefined) return undefined;
  return { version, oid, size, extensions, others };
}

function readOid(value: string): LfsOid | undefined {
  const oid = value.startsWith('sha256:') ? value.slice('sha256:'.length) : '';
  return isLfsOid(oid) ? oid : undefined;
}

/** Decimal, with a sign if need be, as Go reads numbers. */
function readSize(value: string): number | undefined {
  if (!/^[+-]?[0-9]+$/u.test(value)) return undefined;
  const size = Number(value);
  if (!Number.isSafeInteger(size) || size < 0) return undefined;
  // Of the negative numbers only -0 comes here.
  return size === 0 ? 0 : size;
}

function readExtensions(lines: ReadonlyMap<string, string>): PointerExtension[] | undefined {
  const found: PointerExtension[] = [];
  for (const [key, value] of lines) {
    const [, digit, name] = /^ext-([0-9])-(\w.*)$/su.exec(key) ?? [];
    const oid = readOid(value);
    if (digit === undefined || name === undefined || oid === undefined) return undefined;
    const priority = Number(digit);
    if (found.some((other) => other.priority === priority)) return undefined;
    found.push({ priority, name, oid });
  }
  return found.sort((left, right) => left.priority - right.priority);
}
