// The last failures with large files, each file once.
import type { LfsOid } from '../lfs-object.ts';
import type { TransferFailure } from './lfs-downloads.ts';

/** Keeps them, oldest first. */
export class RecentFailures {
  readonly #most: number;
  readonly #failures = new Map<string, TransferFailure>();

  /** Keeps at most so many. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Adds one, in place of an earlier one with the same object and path. */
  add(failure: TransferFailure): void {
    const key = `${failure.oid} ${failure.path}`;
    this.#failures.delete(key);
    this.#failures.set(key, failure);
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= this.#most) break;
      this.#failures.delete(oldest);
    }
  }

  /** The object has come after all. */
  forget(oid: LfsOid, size: number): void {
    for (const [key, failure] of this.#failures) {
      if (failure.oid === oid && failure.size === size) this.#failures.delete(key);
    }
  }

  /** Oldest first. */
  list(): readonly TransferFailure[] {
    return [...this.#failures.values()];
  }
}
