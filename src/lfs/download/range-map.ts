// Which parts of a file are there: sorted ranges that neither overlap nor touch.

/** From the first byte up to, not including, the second. */
export type Range = readonly [start: number, end: number];

/** A set of positions, kept as ranges. All calls but `add` cost the logarithm of the number of ranges. */
export class RangeMap {
  // Starts and ends in turn: one array of numbers, nothing allocated for a question.
  #edges: number[] = [];
  #bytes = 0;

  constructor(ranges: Iterable<Range> = []) {
    for (const [start, end] of ranges) this.add(start, end);
  }

  /** How many positions there are. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the positions from `start` up to, not including, `end`. */
  add(start: number, end: number): void {
    if (end <= start) return;
    const edges = this.#edges;
    const first = this.#firstEndingAt(start);
    let last = first;
    let from = start;
    let to = end;
    while (last < edges.length && (edges[last] ?? 0) <= end) {
      from = Math.min(from, edges[last] ?? 0);
      to = Math.max(to, edges[last + 1] ?? 0);
      this.#bytes -= (edges[last + 1] ?? 0) - (edges[last] ?? 0);
      last += 2;
    }
    this.#bytes += to - from;
    // The usual case, a range that grows at its end, moves nothing.
    if (last === first + 2) {
      edges[first] = from;
      edges[first + 1] = to;
    } else edges.splice(first, last - first, from, to);
  }

  /** Whether all positions from `start` up to, not including, `end` are there. */
  has(start: number, end: number): boolean {
    return end <= start || this.endOf(start) >= end;
  }

  /** Where the range ends that has `position`; `position` itself where none has. */
  endOf(position: number): number {
    const at = this.#firstEndingAt(position + 1);
    return at < this.#edges.length && (this.#edges[at] ?? 0) <= position
      ? (this.#edges[at + 1] ?? 0)
      : position;
  }

  /** The first stretch between `start` and `end` that is missing as a whole; undefined when nothing is. */
  gap(start: number, end: number): Range | undefined {
    const from = this.endOf(start);
    if (from >= end) return undefined;
    const next = this.#edges[this.#firstEndingAt(from + 1)];
    return [from, next === undefined ? end : Math.min(next, end)];
  }

  /** Drops everything. */
  clear(): void {
    this.#edges = [];
    this.#bytes = 0;
  }

  /** The ranges, in order. */
  *[Symbol.iterator](): Iterator<Range> {
    for (let at = 0; at < this.#edges.length; at += 2) {
      yield [this.#edges[at] ?? 0, this.#edges[at + 1] ?? 0];
    }
  }

  /** Index of the first range that ends at `position` or later; its start is there, its end follows. */
  #firstEndingAt(position: number): number {
    let low = 0;
    let high = this.#edges.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#edges[2 * middle + 1] ?? 0) >= position) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }
}
