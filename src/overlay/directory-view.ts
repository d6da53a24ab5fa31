// The order in which the names are listed that a folder has gained, stable while the folder changes.

/** Offsets 1 and 2 stand after `.` and `..`. */
export const FIRST_COOKIE = 3;

/**
 * A list of names, each with a number that never changes and always grows: the offset after the entry in a listing.
 * Removing leaves a gap, adding appends; so a listing that is under way gives every name that stays exactly once, and
 * needs no state for each open folder.
 */
export class DirectoryView {
  #names: (string | undefined)[] = [];
  #cookies: number[] = [];
  readonly #positions = new Map<string, number>();
  #next: number;
  #gaps = 0;

  /** The cookies begin with `first`. */
  constructor(names: Iterable<string>, first: number = FIRST_COOKIE) {
    this.#next = first;
    for (const name of names) this.add(name);
  }

  /** Appends a name that the view does not hold. */
  add(name: string): void {
    if (this.#positions.has(name)) return;
    this.#positions.set(name, this.#names.length);
    this.#names.push(name);
    this.#cookies.push(this.#next++);
  }

  /** Removes a name. */
  remove(name: string): void {
    const position = this.#positions.get(name);
    if (position === undefined) return;
    this.#positions.delete(name);
    this.#names[position] = undefined;
    this.#gaps++;
    if (this.#gaps > 64 && this.#gaps * 2 > this.#names.length) this.#compact();
  }

  /** Position of the first name whose cookie is at least `cookie`. */
  seek(cookie: number): number {
    let low = 0;
    let high = this.#cookies.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#cookies[middle] as number) < cookie) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Number of positions, gaps included. */
  get length(): number {
    return this.#names.length;
  }

  /** The name at a position, or undefined for a gap. */
  nameAt(position: number): string | undefined {
    return this.#names[position];
  }

  /** The cookie at a position: the offset that a listing resumes from to begin with this entry. */
  cookieAt(position: number): number {
    return this.#cookies[position] as number;
  }

  #compact(): void {
    const names: string[] = [];
    const cookies: number[] = [];
    for (const [position, name] of this.#names.entries()) {
      if (name === undefined) continue;
      this.#positions.set(name, names.length);
      names.push(name);
      cookies.push(this.#cookies[position] as number);
    }
    this.#names = names;
    this.#cookies = cookies;
    this.#gaps = 0;
  }
}
