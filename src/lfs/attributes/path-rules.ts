// Rules whose patterns have slashes, as far as the way to one folder has led into them.
import { advance, SLASH, tokensForName, type Token } from './glob.ts';
import { type LineRule, type NameRule, NameRules } from './name-rules.ts';

/** A pattern, and the places in it where the path of the folder led to. */
export interface PathRule {
  readonly line: LineRule;
  readonly tokens: readonly Token[];
  readonly places: readonly number[];
}

const NO_NAMES = new NameRules([]);

/** The rules of one file that are still open in one folder. Immutable. */
export class PathRules {
  /** Those that go on with the name of a folder, by that name, where they stand behind it. */
  readonly #byFolder = new Map<string, PathRule[]>();
  readonly #others: readonly PathRule[];
  /** What they say of the folder's files. */
  readonly names: NameRules;
  /** Whether there are none. */
  readonly isEmpty: boolean;

  constructor(rules: readonly PathRule[]) {
    this.isEmpty = rules.length === 0;
    const others: PathRule[] = [];
    const names: NameRule[] = [];
    for (const rule of rules) {
      const next = folderNext(rule);
      if (next === undefined) {
        others.push(rule);
        names.push(...nameRulesOf(rule));
        continue;
      }
      const same = this.#byFolder.get(next.folder);
      if (same === undefined) this.#byFolder.set(next.folder, [next.rule]);
      else same.push(next.rule);
    }
    this.#others = others;
    this.names = names.length === 0 ? NO_NAMES : new NameRules(names);
  }

  /** The rules that are open in a folder inside this one: the same object when nothing changes. */
  inside(folder: string): PathRules {
    const led = this.#byFolder.get(folder);
    const rules = this.#others.flatMap((rule) => {
      const places = advance(rule.tokens, rule.places, `${folder}/`);
      if (places.length === 0) return [];
      return areSame(places, rule.places) ? [rule] : [{ ...rule, places }];
    });
    if (led !== undefined) return new PathRules([...led, ...rules]);
    if (rules.length === 0) return this.isEmpty ? this : NO_PATH_RULES;
    const isSame =
      this.#byFolder.size === 0 &&
      rules.length === this.#others.length &&
      rules.every((rule, index) => rule === this.#others[index]);
    return isSame ? this : new PathRules(rules);
  }
}

/** None. */
export const NO_PATH_RULES: PathRules = new PathRules([]);

function areSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((place, index) => place === right[index]);
}

/** The folder that a rule has to go through next, when its name is plain text. */
function folderNext(rule: PathRule): { readonly folder: string; readonly rule: PathRule } | undefined {
  const [place] = rule.places;
  if (place === undefined || rule.places.length > 1) return undefined;
  const slash = rule.tokens.indexOf(SLASH, place);
  if (slash < 0) return undefined;
  const name = rule.tokens.slice(place, slash);
  if (!name.every((token): token is number => typeof token === 'number' && token >= 0)) return undefined;
  return { folder: String.fromCharCode(...name), rule: { ...rule, places: [slash + 1] } };
}

function nameRulesOf({ line, tokens, places }: PathRule): NameRule[] {
  return places.flatMap((place) => {
    const rest = tokensForName(tokens, place);
    return rest === undefined ? [] : [{ line, tokens: rest }];
  });
}
