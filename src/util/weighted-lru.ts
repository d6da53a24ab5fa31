// A map with a bounded total weight that forgets what was not used for longest.

interface Held<V> {
  readonly value: V;
  readonly weight: number;
}

/** Keeps the most recently used values, as many as fit into the capacity. */
export class WeightedLru<K, V> {
  readonly #capacity: number;
  readonly #held = new Map<K, Held<V>>();
  #weight = 0;

  /** `capacity` is the largest total weight, in the unit that `set` uses. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Total weight of what is held. */
  get weight(): number {
    return this.#weight;
  }

  /** The value, which counts as used now. */
  get(key: K): V | undefined {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    this.#held.delete(key);
    this.#held.set(key, held);
    return held.value;
  }

  /** Holds a value. One that is heavier than the whole capacity is not held. */
  set(key: K, value: V, weight = 1): void {
    this.delete(key);
    if (weight > this.#capacity) return;
    this.#held.set(key, { value, weight });
    this.#weight += weight;
    for (const [oldest, { weight: freed }] of this.#held) {
      if (this.#weight <= this.#capacity) return;
      this.#held.delete(oldest);
      this.#weight -= freed;
    }
  }

  /** Forgets a value, if it is held. */
  delete(key: K): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#weight -= held.weight;
  }
}
