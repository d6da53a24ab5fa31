// Alternatives in braces, as shells have them.

/** More are a mistake, or meant to take time. */
const ALTERNATIVES_MAX = 1000;
const PATTERN_CHARACTERS_MAX = 4096;

/**
 * The patterns that one with alternatives stands for: `a.{b,c}` is `a.b` and `a.c`. Braces without a comma, or behind a
 * backslash, stand for themselves. Throws Error for too many alternatives, or too long a pattern.
 */
export function expandBraces(pattern: string): string[] {
  if (pattern.length > PATTERN_CHARACTERS_MAX) {
    throw new Error(`a pattern has more than ${PATTERN_CHARACTERS_MAX} characters`);
  }
  const expanded: string[] = [];
  const waiting = [pattern];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (expanded.length + waiting.length >= ALTERNATIVES_MAX) {
      throw new Error(`${JSON.stringify(pattern)} stands for more than ${ALTERNATIVES_MAX} patterns`);
    }
    const alternatives = expandFirst(next);
    if (alternatives === undefined) expanded.push(next);
    else waiting.push(...alternatives.reverse());
  }
  return expanded;
}

/** The pattern with each alternative of its first pair of braces; undefined when it has none. */
function expandFirst(pattern: string): string[] | undefined {
  /** Where each open brace and its commas are. */
  const open: number[][] = [];
  let first: readonly number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === '\\') at++;
    else if (character === '{') open.push([at]);
    else if (character === ',') open.at(-1)?.push(at);
    else if (character === '}') {
      const places = open.pop();
      // What closes last of those that are nested opened first.
      const isFirst = (places?.[0] ?? Infinity) < (first[0] ?? Infinity);
      if (places !== undefined && places.length > 1 && isFirst) first = [...places, at];
    }
  }
  const last = first.at(-1);
  if (last === undefined) return undefined;
  const before = pattern.slice(0, first[0]);
  const after = pattern.slice(last + 1);
  return first.slice(1).map((end, index) => before + pattern.slice((first[index] ?? 0) + 1, end) + after);
}
