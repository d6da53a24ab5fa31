// What lines of attribute files come to, with their macros (`[attr]name`) put in.
import type { AttributeLine, AttributeState } from './parse-gitattributes.ts';

/** What is known of attributes: those that nothing spoke of are absent. */
export type Resolved = Map<string, AttributeState['value']>;

/** What a line says of the attributes that matter; undefined: nothing. */
export interface Effect {
  readonly isLfs: boolean | undefined;
  readonly isLockable: boolean | undefined;
  /**
   * Whether it takes back a macro: then a line below it that sets this macro means nothing, and the effects of single
   * lines do not tell all any more.
   */
  readonly undoesMacro: boolean;
}

const [FILTER, LOCKABLE] = ['filter', 'lockable'];

/** The macros that apply to all attribute files of a tree. Git takes them from few files only. */
export class Macros {
  readonly #definitions = new Map<string, readonly AttributeState[]>();
  /** Attributes that matter: `filter`, `lockable`, and the macros that may lead to them. */
  readonly #relevant = new Set([FILTER, LOCKABLE]);
  /** Lines of one file share what they say, where it is the same. */
  readonly #effects = new WeakMap<readonly AttributeState[], Effect>();

  /** Takes the definitions among lines, those of the files that count most last. */
  constructor(lines: Iterable<AttributeLine>) {
    for (const { macro, states } of lines) if (macro !== undefined) this.#definitions.set(macro, states);
    const users = new Map<string, string[]>();
    for (const [macro, states] of this.#definitions) {
      for (const { name } of states) {
        const others = users.get(name);
        if (others === undefined) users.set(name, [macro]);
        else others.push(macro);
      }
    }
    // A Set goes on to what is added to it meanwhile.
    for (const name of this.#relevant) for (const user of users.get(name) ?? []) this.#relevant.add(user);
  }

  /** What a line comes to by itself; undefined when it does not touch what matters. */
  effectOf(states: readonly AttributeState[]): Effect | undefined {
    if (!states.some(({ name }) => this.#relevant.has(name))) return undefined;
    const known = this.#effects.get(states);
    if (known !== undefined) return known;
    const resolved: Resolved = new Map();
    this.resolveInto(resolved, states);
    let undoesMacro = false;
    for (const [name, value] of resolved) {
      if (value !== true && this.#definitions.has(name) && this.#relevant.has(name)) undoesMacro = true;
    }
    const effect = { ...attributesOf(resolved), undoesMacro };
    this.#effects.set(states, effect);
    return effect;
  }

  /** Adds what a line says to what lines of more weight said. The last word of a line has the most weight. */
  resolveInto(resolved: Resolved, states: readonly AttributeState[]): void {
    const waiting = [...states];
    for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
      const { name, value } = state;
      if (resolved.has(name)) continue;
      resolved.set(name, value);
      const definition = value === true ? this.#definitions.get(name) : undefined;
      if (definition !== undefined) waiting.push(...definition);
    }
  }
}

/** The attributes that matter. As git-lfs does, `lockable=true` counts as set. */
export function attributesOf(resolved: Resolved): {
  readonly isLfs: boolean | undefined;
  readonly isLockable: boolean | undefined;
} {
  const lockable = resolved.get(LOCKABLE);
  return {
    isLfs: resolved.has(FILTER) ? resolved.get(FILTER) === 'lfs' : undefined,
    isLockable: resolved.has(LOCKABLE) ? lockable === true || lockable === 'true' : undefined,
  };
}
