// Which files of a tree are wanted, by globs as in a .gitignore file, decided on the way down.
import { expandBraces } from './expand-braces.ts';
import { compileNameGlob } from './name-glob.ts';

/** One name of a pattern; `**` stands for any number of folders. */
type Segment = '**' | ((name: string) => boolean);

/** Where in which pattern a folder stands: each element is the number of a pattern and of its next segment. */
type Positions = readonly (readonly [pattern: number, segment: number])[];

/** What holds for a folder: whether all below it is meant, or how far the patterns have come. */
export interface FilterState {
  readonly included: true | Positions;
  readonly excluded: Positions;
}

/** Decides, folder by folder. Names are latin1 binary strings. */
export interface PathFilter {
  /** The state of the folder that the patterns start from. */
  readonly start: FilterState;
  /** Whether every file is wanted. */
  readonly wantsAll: boolean;
  /** Whether a file (or symlink) in a folder is wanted. */
  wantsFile(folder: FilterState, name: string): boolean;
  /** The state of a folder in a folder; undefined when nothing in it can be wanted. */
  enter(folder: FilterState, name: string): FilterState | undefined;
}

/**
 * Makes a filter. A file is wanted when a pattern of `include` matches it or a folder above it (or there are none), and
 * none of `exclude` does. As in a .gitignore file: a pattern without a slash matches at any depth, one with a slash
 * starts at the top; one that ends in a slash matches folders only; `**` stands for any number of folders. Beside what a
 * .gitignore file has, `{a,b}` stands for either. Throws Error for a pattern that means nothing.
 */
export function createPathFilter(include: readonly string[], exclude: readonly string[]): PathFilter {
  const included = compileAll(include);
  const excluded = compileAll(exclude);
  return {
    start: { included: include.length === 0 ? true : firstOf(included), excluded: firstOf(excluded) },
    wantsAll: include.length === 0 && exclude.length === 0,
    wantsFile(folder, name) {
      if (folder.excluded.length > 0 && step(excluded, folder.excluded, name, false) === true) return false;
      return folder.included === true || step(included, folder.included, name, false) === true;
    },
    enter(folder, name) {
      const out = step(excluded, folder.excluded, name, true);
      if (out === true) return undefined;
      const into = folder.included === true ? true : step(included, folder.included, name, true);
      return into === true || into.length > 0 ? { included: into, excluded: out } : undefined;
    },
  };
}

interface Pattern {
  readonly segments: readonly Segment[];
  readonly foldersOnly: boolean;
}

function compileAll(patterns: readonly string[]): Pattern[] {
  return patterns.flatMap(expandBraces).map(compile);
}

function compile(pattern: string): Pattern {
  const names = pattern.split('/').filter((name) => name !== '');
  if (names.length === 0 || pattern.includes('\0') || names.some((name) => name === '.' || name === '..')) {
    throw new Error(`${JSON.stringify(pattern)} is no pattern for files`);
  }
  if (pattern.startsWith('!')) {
    throw new Error(`${JSON.stringify(pattern)} starts with !, which means nothing here: exclude it instead`);
  }
  const isAnchored = pattern.replace(/\/+$/u, '').includes('/');
  const segments = names.map((name): Segment => {
    if (name === '**') return '**';
    const matches = compileNameGlob(name);
    return (candidate) => matches(shown(candidate));
  });
  return { segments: isAnchored ? segments : ['**', ...segments], foldersOnly: pattern.endsWith('/') };
}

/** Patterns are text: what is not UTF-8 in a name can only be met by a wildcard. */
function shown(name: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/u.test(name) ? name : Buffer.from(name, 'latin1').toString('utf8');
}

function firstOf(patterns: readonly Pattern[]): Positions {
  return patterns.flatMap((pattern, index) => closure(index, pattern, 0));
}

/** A place, and those behind a `**` that may stand for nothing. */
function closure(index: number, { segments }: Pattern, at: number): Positions {
  const places: [number, number][] = [[index, at]];
  for (let next = at; segments[next] === '**' && next + 1 < segments.length; next++) {
    places.push([index, next + 1]);
  }
  return places;
}

/** Takes one name: true when a pattern is fulfilled by it. */
function step(
  patterns: readonly Pattern[],
  from: Positions,
  name: string,
  isFolder: boolean,
): true | Positions {
  const to = new Map<string, readonly [number, number]>();
  for (const [index, at] of from) {
    const pattern = patterns[index] as Pattern;
    const segment = pattern.segments[at];
    const isLast = at === pattern.segments.length - 1;
    if (segment === '**') {
      // At the end it stands for everything below.
      if (isLast) return true;
      to.set(`${index} ${at}`, [index, at]);
      for (const place of closure(index, pattern, at)) to.set(place.join(' '), place);
    } else if (segment?.(name) === true) {
      if (isLast && (isFolder || !pattern.foldersOnly)) return true;
      if (!isLast) for (const place of closure(index, pattern, at + 1)) to.set(place.join(' '), place);
    }
  }
  return [...to.values()];
}
