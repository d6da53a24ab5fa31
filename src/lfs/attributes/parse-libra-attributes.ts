// Reading .libra_attributes: the lines that Libra writes for the patterns it tracks.
import { expandBraces } from '../../util/expand-braces.ts';
import type { AttributeLine } from './parse-gitattributes.ts';
import { eachLine } from './parse-gitattributes.ts';

const TRACKED = { name: 'filter', value: 'lfs' } as const;
const NOT_TRACKED = { name: 'filter', value: undefined } as const;

/**
 * The lines as they would stand in a .gitattributes file. Libra takes any line with `filter=lfs`; its pattern ends at
 * white space, at `#`, and at a backslash that has no space behind it. A file is large when the pattern matches it as in
 * a .gitignore file, or as a glob of its whole path, which may have alternatives in braces.
 */
export function parseLibraAttributes(bytes: Uint8Array): AttributeLine[] {
  return eachLine(bytes).flatMap((line): AttributeLine[] => {
    if (!line.includes('filter=lfs')) return [];
    const word = /^\s*((?:[^\s#\\]|\\ )+)/u.exec(line)?.[1];
    if (word === undefined) return [];
    const pattern = word.replaceAll('\\ ', ' ');
    if (pattern.startsWith('!')) {
      return [{ pattern: pattern.slice(1), macro: undefined, states: [NOT_TRACKED] }];
    }
    return [pattern, ...alternativesOf(pattern)].map((each) => ({
      pattern: each,
      macro: undefined,
      states: [TRACKED],
    }));
  });
}

/** Globs of the whole path for a pattern with braces. */
function alternativesOf(pattern: string): string[] {
  if (!pattern.includes('{')) return [];
  try {
    return expandBraces(pattern).map((glob) => (glob.startsWith('/') ? glob : `/${glob}`));
  } catch {
    // Too many alternatives: it stands for itself.
    return [];
  }
}
