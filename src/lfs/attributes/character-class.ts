// The sets in brackets of Git's patterns, read as Git's wildmatch reads them.

/** Named sets, of ASCII alone, as Git defines them: `space` is without the vertical tabulator and the form feed. */
const NAMED: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/u,
  alpha: /[A-Za-z]/u,
  blank: /[ \t]/u,
  cntrl: /\p{Cc}/u,
  digit: /[0-9]/u,
  graph: /[!-~]/u,
  lower: /[a-z]/u,
  print: /[ -~]/u,
  punct: /[!-/:-@[-`{-~]/u,
  space: /[ \t\n\r]/u,
  upper: /[A-Z]/u,
  xdigit: /[0-9A-Fa-f]/u,
};

/** A set, and the place of its closing bracket. */
export interface CharacterClass {
  /** Codes of the characters; undefined when the set is malformed: then nothing matches the pattern. */
  readonly has: ReadonlySet<number> | undefined;
  readonly end: number;
}

/** Reads the set whose first character (behind the bracket, and behind a sign of negation) is at `start`. */
export function readCharacterClass(pattern: string, start: number): CharacterClass {
  const has = new Set<number>();
  const malformed: CharacterClass = { has: undefined, end: pattern.length };
  let previous = '';
  for (let at = start; ; at++) {
    const character = pattern[at];
    if (character === undefined) return malformed;
    // A bracket that comes first stands for itself.
    if (character === ']' && at > start) return { has, end: at };
    if (character === '\\') {
      const literal = pattern[++at];
      if (literal === undefined) return malformed;
      has.add(literal.charCodeAt(0));
      previous = literal;
    } else if (character === '-' && previous !== '' && !['', ']'].includes(pattern[at + 1] ?? '')) {
      if (pattern[++at] === '\\') at++;
      const last = pattern[at];
      if (last === undefined) return malformed;
      for (let code = previous.charCodeAt(0); code <= last.charCodeAt(0); code++) has.add(code);
      previous = '';
    } else if (character === '[' && pattern[at + 1] === ':') {
      const close = pattern.indexOf(']', at + 2);
      if (close < 0) return malformed;
      if (close < at + 3 || pattern[close - 1] !== ':') {
        has.add(character.charCodeAt(0));
        previous = character;
        continue;
      }
      const named = NAMED[pattern.slice(at + 2, close - 1)];
      if (named === undefined) return malformed;
      for (let code = 1; code < 128; code++) if (named.test(String.fromCharCode(code))) has.add(code);
      at = close;
      previous = '';
    } else {
      has.add(character.charCodeAt(0));
      previous = character;
    }
  }
}
