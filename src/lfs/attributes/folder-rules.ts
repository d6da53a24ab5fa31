// The rules of a folder: its attribute files and those above it, each as far as it concerns the folder.
import type { AttributeFiles, AttributeRules, FileAttributes } from './attribute-rules.ts';
import { literalLength, tokensOf } from './glob.ts';
import { attributesOf, Macros, type Resolved } from './macros.ts';
import { type LineRule, forget, type NameRule, NameRules, nothingFound } from './name-rules.ts';
import { type AttributeLine, parseGitAttributes } from './parse-gitattributes.ts';
import { parseLibraAttributes } from './parse-libra-attributes.ts';
import { NO_PATH_RULES, type PathRule, PathRules } from './path-rules.ts';

/** What the rules of the folder are made of that a tree is shown from. */
export interface RootRulesOptions {
  /** Its attribute files. */
  readonly files: AttributeFiles;
  /** Attributes for all trees, in the format of .gitattributes: what any other file says counts more. */
  readonly global?: Uint8Array | undefined;
  /** The folders above it: their names, from the top of the repository down, as one path (latin1), and the attribute files of the top and of each, but the last. */
  readonly above?: { readonly path: string; readonly files: readonly AttributeFiles[] } | undefined;
}

/**
 * The rules of the folder that a tree is shown from. Later ones count more: the global ones; then for each folder from
 * the top down its .libra_attributes, where it is a root, and its .gitattributes. Roots are the repository's and the
 * tree's own: macros are taken from there, too.
 */
export function createRootRules({ files, global, above }: RootRulesOptions): AttributeRules {
  const names = above === undefined || above.path === '' ? [] : above.path.split('/');
  const folders = [...names.map((_, depth) => above?.files[depth] ?? {}), files];
  const parsed = folders.map((each, depth) => {
    const isRoot = depth === 0 || depth === names.length;
    return [linesOfLibra(isRoot ? each : {}), linesOfGit(each)];
  });
  const globalLines = global === undefined ? [] : parseGitAttributes(global);
  const definitions = parsed.filter((_, depth) => depth === 0 || depth === names.length);
  const macros = new Macros([...globalLines, ...definitions.flat(2)]);
  let rules = new FolderRules(macros, []).with(globalLines);
  for (const [depth, filesOfFolder] of parsed.entries()) {
    const name = names[depth - 1];
    if (name !== undefined) rules = rules.stepInto(name);
    for (const lines of filesOfFolder) rules = rules.with(lines);
  }
  return rules;
}

function linesOfGit({ gitattributes }: AttributeFiles): AttributeLine[] {
  return gitattributes === undefined ? [] : parseGitAttributes(gitattributes);
}

function linesOfLibra({ libraAttributes }: AttributeFiles): AttributeLine[] {
  return libraAttributes === undefined ? [] : parseLibraAttributes(libraAttributes);
}

/** One file, as far as it concerns a folder. */
interface Level {
  readonly names: NameRules;
  readonly paths: PathRules;
}

/** Reused: an object for each name would cost as much as finding its rules. */
const FOUND = nothingFound();

const NEITHER: FileAttributes = Object.freeze({ isLfs: false, isLockable: false });
const LFS: FileAttributes = Object.freeze({ isLfs: true, isLockable: false });
const LOCKABLE: FileAttributes = Object.freeze({ isLfs: false, isLockable: true });
const BOTH: FileAttributes = Object.freeze({ isLfs: true, isLockable: true });

function attributes(isLfs: boolean, isLockable: boolean): FileAttributes {
  if (isLfs) return isLockable ? BOTH : LFS;
  return isLockable ? LOCKABLE : NEITHER;
}

class FolderRules implements AttributeRules {
  readonly isEmpty: boolean;
  readonly #macros: Macros;
  /** What counts most first. */
  readonly #levels: readonly Level[];
  readonly #undoesMacro: boolean;

  constructor(macros: Macros, levels: readonly Level[]) {
    this.#macros = macros;
    this.#levels = levels;
    const all = levels.flatMap(({ names, paths }) => [names, paths.names]);
    this.isEmpty = !all.some(({ mayGive }) => mayGive);
    this.#undoesMacro = all.some(({ undoesMacro }) => undoesMacro);
  }

  of(name: string): FileAttributes {
    if (this.isEmpty) return NEITHER;
    if (this.#undoesMacro) return this.#ofAllLines(name);
    let isLfs: boolean | undefined;
    let isLockable: boolean | undefined;
    for (const { names, paths } of this.#levels) {
      const found = FOUND;
      forget(found);
      if (!names.isEmpty) names.find(name, found);
      if (!paths.names.isEmpty) paths.names.find(name, found);
      if (found.lfsOrder >= 0) isLfs ??= found.isLfs;
      if (found.lockableOrder >= 0) isLockable ??= found.isLockable;
      if (isLfs !== undefined && isLockable !== undefined) break;
    }
    return attributes(isLfs === true, isLockable === true);
  }

  inside(folder: string, files: AttributeFiles): AttributeRules {
    return this.stepInto(folder).with(linesOfGit(files));
  }

  /** The same rules for a folder in this one. */
  stepInto(folder: string): FolderRules {
    let isSame = true;
    const levels: Level[] = [];
    for (const level of this.#levels) {
      const paths = level.paths.isEmpty ? level.paths : level.paths.inside(folder);
      if (paths === level.paths) {
        levels.push(level);
        continue;
      }
      isSame = false;
      if (!level.names.isEmpty || !paths.isEmpty) levels.push({ names: level.names, paths });
    }
    return isSame ? this : new FolderRules(this.#macros, levels);
  }

  /** These rules, and above them those of a file of this folder. */
  with(lines: readonly AttributeLine[]): FolderRules {
    const names: NameRule[] = [];
    const paths: PathRule[] = [];
    for (const [order, { pattern, states }] of lines.entries()) {
      // What ends in a slash means folders, and these have no attributes in Git.
      if (pattern === undefined || pattern.endsWith('/')) continue;
      const effect = this.#macros.effectOf(states);
      if (effect === undefined) continue;
      const line: LineRule = { order, effect, states };
      if (pattern.includes('/')) {
        const path = pattern.startsWith('/') ? pattern.slice(1) : pattern;
        paths.push({ line, tokens: tokensOf(path, true, literalLength(path)), places: [0] });
      } else {
        names.push({ line, tokens: tokensOf(pattern, false, literalLength(pattern)) });
      }
    }
    if (names.length === 0 && paths.length === 0) return this;
    const level = {
      names: new NameRules(names),
      paths: paths.length === 0 ? NO_PATH_RULES : new PathRules(paths),
    };
    return new FolderRules(this.#macros, [level, ...this.#levels]);
  }

  /** The same as `of`, line by line as Git goes. */
  #ofAllLines(name: string): FileAttributes {
    const resolved: Resolved = new Map();
    for (const { names, paths } of this.#levels) {
      const lines = new Set([...names.linesOf(name), ...paths.names.linesOf(name)]);
      const ordered = [...lines].sort((left, right) => right.order - left.order);
      for (const { states } of ordered) this.#macros.resolveInto(resolved, states);
    }
    const { isLfs, isLockable } = attributesOf(resolved);
    return attributes(isLfs === true, isLockable === true);
  }
}
