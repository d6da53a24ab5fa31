// Patterns of attribute files as a row of tokens, and matching them in time bounded by pattern times text.
import { readCharacterClass } from './character-class.ts';

/** One step of a pattern: a character (its code, 0 to 255), a set of characters, or one of the constants below. */
export type Token = number | ReadonlySet<number>;

/** Any character but a slash. */
export const ANY = -1;
/** Any number of characters without a slash. */
export const STAR = -2;
/** Any number of characters. */
export const GLOBSTAR = -3;
/** In front of GLOBSTAR and a slash: these two may be left out. */
export const FOLDERS = -4;
/** Nothing matches. */
export const NEVER = -5;

export const SLASH = 0x2f;
const [BACKSLASH, ASTERISK, QUESTION, BRACKET] = [0x5c, 0x2a, 0x3f, 0x5b];
const NEGATIONS = ['!', '^'];

/**
 * Reads a pattern as Git's wildmatch does. Patterns and texts are latin1: Git compares bytes. `isPath`: the pattern has
 * slashes that only slashes match; `literals` is how many characters in front have no special meaning. (Git compares
 * those apart, so that two asterisks right behind them count as if the pattern began there.)
 */
export function tokensOf(pattern: string, isPath: boolean, literals: number): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const code = pattern.charCodeAt(at);
    if (at < literals) {
      tokens.push(code);
    } else if (code === BACKSLASH) {
      at++;
      tokens.push(at < pattern.length ? pattern.charCodeAt(at) : NEVER);
    } else if (code === QUESTION) {
      tokens.push(ANY);
    } else if (code === ASTERISK) {
      const first = at;
      while (pattern.charCodeAt(at + 1) === ASTERISK) at++;
      const startsName = first === literals || pattern[first - 1] === '/';
      tokens.push(...(isPath && at > first && startsName ? globstarBefore(pattern.slice(at + 1)) : [STAR]));
    } else if (code === BRACKET) {
      const isNegated = NEGATIONS.includes(pattern[at + 1] ?? '');
      const { has, end } = readCharacterClass(pattern, at + (isNegated ? 2 : 1));
      tokens.push(has === undefined ? NEVER : setOf(has, isNegated));
      at = end;
    } else {
      tokens.push(code);
    }
  }
  return tokens;
}

/** How many characters in front of a pattern have no special meaning. */
export function literalLength(pattern: string): number {
  const special = pattern.search(/[*?[\\]/u);
  return special < 0 ? pattern.length : special;
}

function globstarBefore(rest: string): Token[] {
  if (rest.startsWith('/')) return [FOLDERS, GLOBSTAR];
  return [rest === '' || rest.startsWith('\\/') ? GLOBSTAR : STAR];
}

function setOf(has: ReadonlySet<number>, isNegated: boolean): ReadonlySet<number> {
  const set = new Set<number>();
  for (let code = 1; code < 256; code++) {
    if (code !== SLASH && has.has(code) !== isNegated) set.add(code);
  }
  return set;
}

/** Whether a token that stands for one character stands for this one. */
function takes(token: Token | undefined, code: number): boolean {
  if (typeof token === 'number') return token === code || (token === ANY && code !== SLASH);
  return token?.has(code) === true;
}

/**
 * Whether the tokens match a whole name, which has no slash; they have neither GLOBSTAR nor FOLDERS. Goes back to the last
 * star only: those before it have taken as little as they can already.
 */
export function matchesName(tokens: readonly Token[], name: string): boolean {
  let token = 0;
  let afterStar = -1;
  let resume = 0;
  for (let at = 0; at < name.length;) {
    const wanted = tokens[token];
    if (wanted === STAR) {
      afterStar = ++token;
      resume = at;
    } else if (takes(wanted, name.charCodeAt(at))) {
      token++;
      at++;
    } else {
      if (afterStar < 0) return false;
      token = afterStar;
      at = ++resume;
    }
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}

/**
 * The places in the tokens, ascending, where a text leads to from the given places: each is that of the next token. None:
 * nothing that begins with the text matches.
 */
export function advance(
  tokens: readonly Token[],
  places: readonly number[],
  text: string,
): readonly number[] {
  let current = new Set(places);
  for (let at = 0; at < text.length && current.size > 0; at++) {
    const code = text.charCodeAt(at);
    const next = new Set<number>();
    // A Set goes on to what is added to it meanwhile.
    for (const place of current) {
      const token = tokens[place];
      if (token === FOLDERS) {
        current.add(place + 1).add(place + 3);
      } else if (token === STAR || token === GLOBSTAR) {
        current.add(place + 1);
        if (token === GLOBSTAR || code !== SLASH) next.add(place);
      } else if (takes(token, code)) {
        next.add(place + 1);
      }
    }
    current = next;
  }
  return [...current].sort((left, right) => left - right);
}

/** The tokens from a place on, for a text without a slash; undefined when no such text matches. */
export function tokensForName(tokens: readonly Token[], place: number): readonly Token[] | undefined {
  const rest: Token[] = [];
  for (let at = place; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    if (token === SLASH || token === NEVER) return undefined;
    if (token === FOLDERS) at += 2;
    else if (token === STAR || token === GLOBSTAR) {
      if (rest.at(-1) !== STAR) rest.push(STAR);
    } else rest.push(token);
  }
  return rest;
}

/** What tokens for a name mean, where it is simple: all names, one name, or those with an ending. */
export function simpleForm(
  tokens: readonly Token[],
): { readonly kind: 'all' } | { readonly kind: 'name' | 'ending'; readonly text: string } | undefined {
  const isEnding = tokens[0] === STAR;
  const literals = isEnding ? tokens.slice(1) : tokens;
  if (!literals.every((token) => typeof token === 'number' && token >= 0)) return undefined;
  if (isEnding && literals.length === 0) return { kind: 'all' };
  return { kind: isEnding ? 'ending' : 'name', text: String.fromCharCode(...(literals as number[])) };
}
