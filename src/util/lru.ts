// A cache bounded by weight that drops what was used longest ago.

/** Keeps the most recently used values whose weights add up to at most `capacity`. */
export class LruCache<K, V> {
  // A Map iterates in insertion order: what is used is inserted anew, so the first key is the oldest.
  readonly #values = new Map<K, V>();
  readonly #capacity: number;
  readonly #weigh: (value: V) => number;
  #weight = 0;

  /**
   * @param capacity most weight to keep
   * @param weigh weight of a value, the same whenever it is asked; 1 for each when absent
   */
  constructor(capacity: number, weigh: (value: V) => number = () => 1) {
    this.#capacity = capacity;
    this.#weigh = weigh;
  }

  /** How many values are kept. */
  get size(): number {
    return this.#values.size;
  }

  /** Weight of what is kept. */
  get weight(): number {
    return this.#weight;
  }

  /** The value of a key, which counts as a use. */
  get(key: K): V | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  /** Keeps a value, and drops the oldest ones that no longer fit. A value heavier than the capacity is not kept. */
  set(key: K, value: V): void {
    this.delete(key);
    const weight = this.#weigh(value);
    if (weight > this.#capacity) return;
    this.#values.set(key, value);
    this.#weight += weight;
    for (const oldest of this.#values.keys()) {
      if (this.#weight <= this.#capacity) break;
      this.delete(oldest);
    }
  }

  /** What is kept, used longest ago first. */
  entries(): [K, V][] {
    return [...this.#values];
  }

  /** Drops everything. */
  clear(): void {
    this.#values.clear();
    this.#weight = 0;
  }

  /** Drops a key; unknown ones are fine. */
  delete(key: K): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.#weight -= this.#weigh(value);
  }
}
