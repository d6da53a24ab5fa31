// Reading .gitattributes files as Git reads them.

/** A longer line is ignored, in bytes. */
const LINE_BYTES_MAX = 2048;
/** A larger file is ignored, in bytes. */
export const ATTRIBUTE_FILE_BYTES_MAX: number = 100 * 1024 * 1024;

/** Of UTF-8, as latin1. */
const BYTE_ORDER_MARK = '\xef\xbb\xbf';
const MACRO_PREFIX = '[attr]';

/** What a line says of one attribute: set, unset (`-a`), unspecified (`!a`), or a text. */
export interface AttributeState {
  readonly name: string;
  readonly value: true | false | undefined | string;
}

/** A line with its pattern, or with the name of the macro that it defines. Texts are latin1. */
export interface AttributeLine {
  readonly pattern: string | undefined;
  readonly macro: string | undefined;
  readonly states: readonly AttributeState[];
}

/**
 * The lines of a file that mean something, in their order. What Git ignores is left out: comments, negative patterns,
 * malformed attributes, lines and files beyond its limits.
 */
export function parseGitAttributes(bytes: Uint8Array): AttributeLine[] {
  const known: KnownStates = new Map();
  return eachLine(bytes).flatMap((line) => parseLine(line, known) ?? []);
}

/** The lines of a file that are not empty, as latin1 text; none of a file beyond Git's limit. */
export function eachLine(file: Uint8Array): string[] {
  if (file.length >= ATTRIBUTE_FILE_BYTES_MAX) return [];
  const text = Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString('latin1');
  const lines: string[] = [];
  let start = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    if (end > start) lines.push(asShown(text.slice(start, end)));
    start = end + 1;
  }
  return lines;
}

/** Git's lines are texts of C: they end at a NUL, and the rest is not seen. */
function asShown(line: string): string {
  return line.includes('\0') ? line.slice(0, line.indexOf('\0')) : withoutReturn(line);
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

/** What texts of attributes mean: most lines of a file have the same one. */
type KnownStates = Map<string, readonly AttributeState[] | undefined>;

function parseLine(line: string, known: KnownStates): AttributeLine | undefined {
  const text = line.replace(/^[ \t\r\n]+/u, '');
  if (text === '' || text.startsWith('#') || line.length >= LINE_BYTES_MAX) return undefined;
  const { word, rest } = (text.startsWith('"') ? unquote(text) : undefined) ?? firstWord(text);
  if (!known.has(rest)) known.set(rest, parseStates(rest));
  const states = known.get(rest);
  if (states === undefined) return undefined;
  if (word.startsWith(MACRO_PREFIX) && word.length > MACRO_PREFIX.length) {
    const macro = firstWord(word.slice(MACRO_PREFIX.length).replace(/^[ \t\r\n]+/u, '')).word;
    return isAttributeName(macro) ? { pattern: undefined, macro, states } : undefined;
  }
  if (word.startsWith('!')) return undefined;
  return { pattern: word, macro: undefined, states };
}

interface Word {
  readonly word: string;
  readonly rest: string;
}

function firstWord(text: string): Word {
  const end = text.search(/[ \t\r\n]/u);
  return end < 0 ? { word: text, rest: '' } : { word: text.slice(0, end), rest: text.slice(end) };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
};

/** The text in quotes at the beginning, with C's escapes; undefined when it is malformed, and then it is no quote. */
function unquote(text: string): Word | undefined {
  let word = '';
  for (let at = 1; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"') {
      // Again a text of C.
      return { word: word.replace(/\0.*$/su, ''), rest: text.slice(at + 1) };
    }
    if (character !== '\\') {
      word += character;
      continue;
    }
    const octal = /^[0-3][0-7][0-7]/u.exec(text.slice(at + 1, at + 4))?.[0];
    const escaped =
      octal === undefined ? ESCAPES[text[at + 1] ?? ''] : String.fromCharCode(parseInt(octal, 8));
    if (escaped === undefined) return undefined;
    word += escaped;
    at += octal === undefined ? 1 : 3;
  }
  return undefined;
}

/** Undefined when one of them is malformed, for which Git ignores the whole line. */
function parseStates(text: string): AttributeState[] | undefined {
  const states: AttributeState[] = [];
  for (const word of text.split(/[ \t\r\n]+/u)) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const isNegated = word.startsWith('-') || word.startsWith('!');
    const name = word.slice(isNegated ? 1 : 0, equals < 0 ? undefined : equals);
    if (!isAttributeName(name)) return undefined;
    if (isNegated) states.push({ name, value: word.startsWith('-') ? false : undefined });
    else states.push({ name, value: equals < 0 ? true : word.slice(equals + 1) });
  }
  return states;
}

function isAttributeName(name: string): boolean {
  return /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/u.test(name);
}
