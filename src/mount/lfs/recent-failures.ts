// The last failures with large files of one mount, each large file once.
import type { TransferFailure } from '../../lfs/download/lfs-downloads.ts';

const MAX_FAILURES = 20;

/** Keeps them, oldest first. */
export class RecentFailures {
  readonly #failures = new Map<string, TransferFailure>();

  /** Adds one, in place of an earlier one with the same object and path. */
  add(failure: TransferFailure): void {
    const key = `${failure.oid} ${failure.path}`;
    this.#failures.delete(key);
    this.#failures.set(key, failure);
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MAX_FAILURES) break;
      this.#failures.delete(oldest);
    }
  }

  /** Oldest first. */
  list(): readonly TransferFailure[] {
    return [...this.#failures.values()];
  }
}
