// The room that the store has for what is fetched ahead of need, shared out among all who do that at once.
import type { ObjectId } from '../util/types.ts';
import { footprint } from './disk-budget.ts';

/** What a blob is taken to need whose size nobody knows, in bytes. */
const UNKNOWN_BLOB_BYTES = 64 * 1024;

/** Blobs that there is room for. */
export interface Portion {
  readonly ids: readonly ObjectId[];
  /** Called when they are stored, or will not be: from then on the store counts what they take. */
  readonly release: () => void;
}

/** Portions of one process; other processes that share the store keep out of the way only as far as they have stored. */
export class PrefetchRoom {
  readonly #roomOfStore: () => number;
  #reserved = 0;
  readonly #waiting = new Set<() => void>();

  /** `roomOfStore` gives the bytes that may be fetched ahead of need, as the store is now. */
  constructor(roomOfStore: () => number) {
    this.#roomOfStore = roomOfStore;
  }

  /** Bytes that nobody has reserved. */
  get left(): number {
    return Math.max(0, this.#roomOfStore() - this.#reserved);
  }

  /** Removes from the front of `ids` what there is room for, which is reserved until it is released. */
  take(ids: ObjectId[], sizeOf: (id: ObjectId) => number | undefined): Portion {
    const { left } = this;
    let bytes = 0;
    let count = 0;
    for (const id of ids) {
      const more = footprint(sizeOf(id) ?? UNKNOWN_BLOB_BYTES);
      if (bytes + more > left) break;
      bytes += more;
      count++;
    }
    this.#reserved += bytes;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      this.#reserved -= bytes;
      for (const wake of this.#waiting) wake();
    };
    return { ids: ids.splice(0, count), release };
  }

  /**
   * Waits until somebody releases something. False when nobody has reserved anything, so that waiting would not help,
   * and when the signal aborts. Who waits must hold nothing.
   */
  released(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#reserved === 0 || signal?.aborted === true) return Promise.resolve(false);
    return new Promise((resolve) => {
      const finish = (isReleased: boolean): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', giveUp);
        resolve(isReleased);
      };
      const wake = (): void => finish(true);
      const giveUp = (): void => finish(false);
      this.#waiting.add(wake);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}
