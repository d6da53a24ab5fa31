// What failed lately: for the status, for whoever listens, and so that the next attempt does not come at once.
import { LruCache } from '../../util/lru.ts';
import type { LfsObject, WantedObject } from '../lfs-object.ts';
import { reasonOf } from '../reason-of.ts';
import type { TransferFailure } from './lfs-downloads.ts';
import { RecentFailures } from './recent-failures.ts';
import { FAILURE_STANDS_MS } from './transfer.ts';

/** Failures that the status shows. */
const SHOWN_FAILURES = 50;
/** Objects whose failure stands for a moment. */
const STANDING_FAILURES = 1000;

interface Standing {
  readonly error: Error;
  readonly atMs: number;
}

/** The failures of a store. */
export class TransferFailures {
  readonly #recent = new RecentFailures(SHOWN_FAILURES);
  readonly #standing = new LruCache<string, Standing>(STANDING_FAILURES);
  readonly #listeners: ((failure: TransferFailure) => void)[] = [];

  /** The latest ones, oldest first. */
  get recent(): readonly TransferFailure[] {
    return this.#recent.list();
  }

  listen(listener: (failure: TransferFailure) => void): void {
    this.#listeners.push(listener);
  }

  /** A failure of an object that is so fresh that it needs not be tried. */
  standing(object: LfsObject): Error | undefined {
    const found = this.#standing.get(keyOf(object));
    return found !== undefined && Date.now() - found.atMs < FAILURE_STANDS_MS ? found.error : undefined;
  }

  /** Notes a failure, and tells of it: once where several ask at the same moment. */
  add(object: WantedObject, error: Error): void {
    const isRepeated = this.standing(object)?.message === error.message;
    const atMs = Date.now();
    this.#standing.set(keyOf(object), { error, atMs });
    if (isRepeated) return;
    const { oid, size, path } = object;
    const failure: TransferFailure = { oid, size, path, reason: reasonOf(error.message, path), atMs };
    this.#recent.add(failure);
    for (const listener of this.#listeners) listener(failure);
  }

  /** It has come after all. */
  forget(object: LfsObject): void {
    this.#standing.delete(keyOf(object));
    this.#recent.forget(object.oid, object.size);
  }
}

/** A pointer that tells a wrong size must not spoil one that tells the right one. */
function keyOf({ oid, size }: LfsObject): string {
  return `${oid} ${size}`;
}
