// A few spare objects that are costly to make, shared by all mounts.

/** Most spares that are kept; whatever is given back beyond goes to the garbage collector. */
const MOST_SPARES = 4;

/** Hands objects out and takes them back. */
export class Spares<T> {
  readonly #make: () => T;
  readonly #spares: T[] = [];

  constructor(make: () => T) {
    this.#make = make;
  }

  /** A spare, or a new one. */
  take(): T {
    return this.#spares.pop() ?? this.#make();
  }

  /** Gives one back that nobody uses any more. */
  give(spare: T): void {
    if (this.#spares.length < MOST_SPARES) this.#spares.push(spare);
  }
}
