// Rules by the names of files, found without trying each of them where patterns are simple.
import { matchesName, simpleForm, type Token } from './glob.ts';
import type { Effect } from './macros.ts';
import type { AttributeState } from './parse-gitattributes.ts';

const FEW_ENDINGS = 4;

/** What a line says, and where it stands in its file: of two lines the later one counts. */
export interface LineRule {
  readonly order: number;
  readonly effect: Effect;
  readonly states: readonly AttributeState[];
}

/** A line whose pattern was compiled for names. */
export interface NameRule {
  readonly line: LineRule;
  readonly tokens: readonly Token[];
}

/** What was found so far of a file: the orders of the lines that said so, -1 for none. */
export interface Found {
  lfsOrder: number;
  isLfs: boolean;
  lockableOrder: number;
  isLockable: boolean;
}

/** Nothing yet. */
export function nothingFound(): Found {
  return { lfsOrder: -1, isLfs: false, lockableOrder: -1, isLockable: false };
}

/** Makes it nothing again. */
export function forget(found: Found): void {
  found.lfsOrder = -1;
  found.isLfs = false;
  found.lockableOrder = -1;
  found.isLockable = false;
}

/** The rules of one file for names in one folder. */
export class NameRules {
  readonly #rules: readonly NameRule[];
  /** What holds for all names. */
  readonly #all = nothingFound();
  readonly #names = new Map<string, Found>();
  /** All endings, where there are few: comparing them is faster than looking them up. */
  readonly #few: readonly (readonly [ending: string, found: Found])[];
  /** Endings from the only dot on (`.bin`). */
  readonly #extensions = new Map<string, Found>();
  readonly #endings = new Map<string, Found>();
  readonly #endingLengths: readonly number[];
  /** The others, those of the last lines first. */
  readonly #globs: readonly NameRule[];
  /** Whether there are none. */
  readonly isEmpty: boolean;
  /** Whether any of them gives an attribute. */
  readonly mayGive: boolean;
  /** Whether any of them takes back a macro. */
  readonly undoesMacro: boolean;

  constructor(rules: readonly NameRule[]) {
    this.#rules = rules;
    this.isEmpty = rules.length === 0;
    this.mayGive = rules.some(({ line: { effect } }) => effect.isLfs === true || effect.isLockable === true);
    this.undoesMacro = rules.some(({ line: { effect } }) => effect.undoesMacro);
    const lengths = new Set<number>();
    const globs: NameRule[] = [];
    for (const rule of rules) {
      const simple = simpleForm(rule.tokens);
      if (simple === undefined) globs.push(rule);
      else if (simple.kind === 'all') consider(this.#all, rule.line);
      else if (simple.kind === 'name') consider(entryOf(this.#names, simple.text), rule.line);
      else if (simple.text.lastIndexOf('.') === 0)
        consider(entryOf(this.#extensions, simple.text), rule.line);
      else {
        lengths.add(simple.text.length);
        consider(entryOf(this.#endings, simple.text), rule.line);
      }
    }
    const endings = [...this.#extensions, ...this.#endings];
    this.#few = endings.length <= FEW_ENDINGS ? endings : [];
    if (endings.length <= FEW_ENDINGS) this.#extensions.clear();
    this.#endingLengths = endings.length <= FEW_ENDINGS ? [] : [...lengths];
    this.#globs = globs.sort((left, right) => right.line.order - left.line.order);
  }

  /** Adds what these rules say of a name, where it stands behind what was found before. */
  find(name: string, found: Found): void {
    merge(found, this.#all);
    if (this.#names.size > 0) merge(found, this.#names.get(name));
    for (const [ending, entry] of this.#few) if (name.endsWith(ending)) merge(found, entry);
    if (this.#extensions.size > 0) {
      const dot = name.lastIndexOf('.');
      if (dot >= 0) merge(found, this.#extensions.get(dot === 0 ? name : name.slice(dot)));
    }
    for (const length of this.#endingLengths) {
      if (length <= name.length) merge(found, this.#endings.get(name.slice(name.length - length)));
    }
    for (const { line, tokens } of this.#globs) {
      if (line.order < found.lfsOrder && line.order < found.lockableOrder) break;
      if (isNews(found, line) && matchesName(tokens, name)) consider(found, line);
    }
  }

  /** All lines that match a name. */
  linesOf(name: string): LineRule[] {
    return this.#rules.filter(({ tokens }) => matchesName(tokens, name)).map(({ line }) => line);
  }
}

function entryOf(map: Map<string, Found>, key: string): Found {
  let entry = map.get(key);
  if (entry === undefined) map.set(key, (entry = nothingFound()));
  return entry;
}

function isNews(found: Found, { order, effect }: LineRule): boolean {
  return (
    (effect.isLfs !== undefined && order > found.lfsOrder) ||
    (effect.isLockable !== undefined && order > found.lockableOrder)
  );
}

function consider(found: Found, { order, effect }: LineRule): void {
  if (effect.isLfs !== undefined && order > found.lfsOrder) {
    found.lfsOrder = order;
    found.isLfs = effect.isLfs;
  }
  if (effect.isLockable !== undefined && order > found.lockableOrder) {
    found.lockableOrder = order;
    found.isLockable = effect.isLockable;
  }
}

function merge(found: Found, other: Found | undefined): void {
  if (other === undefined) return;
  if (other.lfsOrder > found.lfsOrder) {
    found.lfsOrder = other.lfsOrder;
    found.isLfs = other.isLfs;
  }
  if (other.lockableOrder > found.lockableOrder) {
    found.lockableOrder = other.lockableOrder;
    found.isLockable = other.isLockable;
  }
}
