// Globs for one name, matched in time that is bounded by the lengths of both: whoever may name a pattern must not be
// able to stop the process with it, as a regular expression made of it would.

/** Stands for any number of characters. */
const STAR = Symbol('*');

type Token = typeof STAR | ((character: string) => boolean);

/** Characters of the classes that stand in brackets, as `[[:digit:]]`. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[a-z0-9]/i,
  alpha: /[a-z]/i,
  blank: /[ \t]/,
  digit: /\d/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /\s/,
  upper: /[A-Z]/,
  xdigit: /[\da-f]/i,
};

/**
 * Compiles a glob: `*` any number of characters, `?` one, `[a-c]`, `[!a]` and `[[:digit:]]` one of a set, and a
 * backslash in front of what stands for itself. Throws Error when nothing follows a backslash, or a bracket is not closed.
 */
export function compileNameGlob(glob: string): (name: string) => boolean {
  if (!/[*?[\\]/u.test(glob)) return (name) => name === glob;
  const tokens = tokensOf(Array.from(glob));
  return (name) => matches(tokens, Array.from(name));
}

function tokensOf(glob: readonly string[]): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at] as string;
    if (character === '*') {
      if (tokens.at(-1) !== STAR) tokens.push(STAR);
    } else if (character === '?') {
      tokens.push(() => true);
    } else if (character === '\\') {
      const literal = glob[++at];
      if (literal === undefined) throw new Error(`${JSON.stringify(glob.join(''))} ends in a backslash`);
      tokens.push((other) => other === literal);
    } else {
      const set = character === '[' ? setAt(glob, at) : undefined;
      if (character === '[' && set === undefined) {
        throw new Error(
          `${JSON.stringify(glob.join(''))} has a bracket that is not closed; \\[ stands for itself`,
        );
      }
      tokens.push(set?.has ?? ((other) => other === character));
      at = set?.end ?? at;
    }
  }
  return tokens;
}

/** The set whose bracket opens at an index, and where it closes; undefined when it does not. */
function setAt(
  glob: readonly string[],
  open: number,
): { readonly has: (character: string) => boolean; readonly end: number } | undefined {
  const isNegated = glob[open + 1] === '!' || glob[open + 1] === '^';
  const first = open + (isNegated ? 2 : 1);
  const parts: ((character: string) => boolean)[] = [];
  for (let at = first; at < glob.length; at++) {
    const named = /^\[:([a-z]{5,6}):\]/u.exec(glob.slice(at, at + 10).join(''));
    const characters = CLASSES[named?.[1] ?? ''];
    if (named !== null && characters !== undefined) {
      parts.push((character) => characters.test(character));
      at += named[0].length - 1;
      continue;
    }
    // A bracket that comes first stands for itself.
    if (glob[at] === ']' && at > first) {
      return { has: (character) => parts.some((part) => part(character)) !== isNegated, end: at };
    }
    if (glob[at] === '\\') at++;
    const from = glob[at] ?? '';
    let to = from;
    if (glob[at + 1] === '-' && glob[at + 2] !== undefined && glob[at + 2] !== ']') {
      at += glob[at + 2] === '\\' ? 3 : 2;
      to = glob[at] ?? '';
    }
    parts.push((character) => codeOf(character) >= codeOf(from) && codeOf(character) <= codeOf(to));
  }
  return undefined;
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? -1;
}

/** Goes back to the last star only: those before it have taken as little as they can already. */
function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  let token = 0;
  let star = -1;
  let afterStar = 0;
  for (let at = 0; at < name.length;) {
    const wanted = tokens[token];
    if (wanted === STAR) {
      star = token++;
      afterStar = at;
    } else if (wanted?.(name[at] as string) === true) {
      token++;
      at++;
    } else {
      if (star < 0) return false;
      token = star + 1;
      at = ++afterStar;
    }
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}
