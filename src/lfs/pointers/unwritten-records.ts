// Records that wait to be written, and are to be found meanwhile.

/** So many are kept while nothing can be written; the oldest go, since all of them can be learned anew. */
const MAX_UNWRITTEN = 50_000;

/** Records by key (latin1 binary strings): those that wait, and those that are being written. */
export class UnwrittenRecords {
  #waiting = new Map<string, Buffer>();
  #underWay: ReadonlyMap<string, Buffer> = new Map();

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** The latest value of a key, if it is not written yet. */
  get(key: string): Buffer | undefined {
    return this.#waiting.get(key) ?? this.#underWay.get(key);
  }

  /** Adds a record, in place of an earlier one with its key. */
  put(key: string, value: Buffer): void {
    this.#waiting.set(key, value);
    this.#limit();
  }

  /** Hands out all that wait, to be written; `written` or `giveBack` follows. */
  take(): (readonly [string, Buffer])[] {
    this.#underWay = this.#waiting;
    this.#waiting = new Map();
    return [...this.#underWay];
  }

  /** What was handed out is written. */
  written(): void {
    this.#underWay = new Map();
  }

  /** What was handed out could not be written: it waits again, but for what was replaced meanwhile. */
  giveBack(): void {
    this.#waiting = new Map([...this.#underWay, ...this.#waiting]);
    this.#underWay = new Map();
    this.#limit();
  }

  /** The records of a range of keys, in order: from `first` on, up to but without `end`. */
  range(first: string, end: string): (readonly [string, Buffer])[] {
    const all = new Map([...this.#underWay, ...this.#waiting]);
    const found = [...all].filter(([key]) => key >= first && key < end);
    return found.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Drops the records of a range of keys that wait. */
  deleteRange(first: string, end: string): void {
    for (const key of this.#waiting.keys()) if (key >= first && key < end) this.#waiting.delete(key);
  }

  #limit(): void {
    for (const key of this.#waiting.keys()) {
      if (this.#waiting.size <= MAX_UNWRITTEN) return;
      this.#waiting.delete(key);
    }
  }
}
