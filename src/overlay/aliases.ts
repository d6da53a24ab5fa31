// The names of an object beside its first one: hard links, of which there may be many thousands.
import type { Inode } from './inode.ts';

/** A name of an object. */
export interface Alias {
  readonly parent: Inode;
  readonly name: string;
}

const keyOf = ({ parent, name }: Alias): string => `${parent.ino}/${name}`;

/** Names, each once; to add and to remove one costs the same however many there are. */
export class Aliases implements Iterable<Alias> {
  readonly #names = new Map<string, Alias>();
  /** Goes on where the last name was taken: from the beginning it would pass all that were removed. */
  #cursor = this.#names.values();

  /** Starts with these names. */
  constructor(names: Iterable<Alias> = []) {
    for (const alias of names) this.add(alias);
  }

  get size(): number {
    return this.#names.size;
  }

  [Symbol.iterator](): Iterator<Alias> {
    return this.#names.values();
  }

  /** Adds a name. */
  add(alias: Alias): void {
    this.#names.set(keyOf(alias), alias);
  }

  /** Removes a name, if it is there. */
  delete(alias: Alias): void {
    this.#names.delete(keyOf(alias));
  }

  /** Removes any of the names, and returns it; undefined when there are none. */
  take(): Alias | undefined {
    let next = this.#cursor.next();
    if (next.done === true) {
      this.#cursor = this.#names.values();
      next = this.#cursor.next();
    }
    if (next.done === true) return undefined;
    this.delete(next.value);
    return next.value;
  }
}
