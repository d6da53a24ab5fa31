// How much memory the overlays of a process may take together, and making them give some back.
import { setTimeout as delay } from 'node:timers/promises';
import { collectGarbage } from '../util/collect-garbage.ts';
import { mallocTrim } from '../util/malloc-trim.ts';

/** What the process takes besides what is counted here: Node, its heap's free space, buffers, SQLite. Measured. */
const PROCESS_BYTES = 160 * 1024 * 1024;
/** Part of a small budget that is left for inodes whatever the process takes. */
const LEAST_PART = 1 / 8;
const CACHE_PART = 1 / 10;
/** From what part of the allowance on memory is taken back, and until what part. */
const HIGH_MARK = 0.9;
const LOW_MARK = 0.7;
/** From what part of the budget on the size of the whole process counts, however little is counted here. */
const PROCESS_MARK = 0.95;
/** The budget is looked at each time so many inodes were added. */
const INODES_A_LOOK = 2048;
/** How long the kernel is given to forget what it was asked to. */
const FORGET_MS = 20;
/** After so many rounds with so little effect everything is in use: the next look is after a pause. */
const VAIN_ROUNDS = 3;
const FEW_INODES = 64;
const PAUSE_MS = 2000;
/** So much less than before, and the system gets it back. */
const GIVEN_UP_BYTES = 16 * 1024 * 1024;
const TRIM_DELAY_MS = 1000;

/** Something that holds memory: an overlay, or a cache. */
export interface MemoryHolder {
  /** How many inodes it knows. */
  readonly inodes: number;
  /** How many inodes it has forgotten so far. */
  readonly forgotten: number;
  /** What it takes, in bytes; an estimate. */
  readonly byteLength: number;
  /** Tries to give so many bytes back, from what was not used for the longest time; never rejects. */
  reclaim(bytes: number): Promise<void>;
  /** Drops what can be had again at once: much else was given up, so it is not in use any more. */
  dropCaches?(): void;
}

/** The state of a budget; sizes in bytes. */
export interface MemoryReport {
  readonly budget: number;
  /** Resident size of the process. */
  readonly resident: number;
  /** What inodes, listings and names take, as far as it is counted. */
  readonly held: number;
  readonly inodes: number;
  /** How many inodes were forgotten to keep the budget, since the process started. */
  readonly evicted: number;
}

/** A budget for all overlays of a process. */
export class MemoryBudget {
  readonly #budget: number;
  readonly #allowance: number;
  readonly #holders = new Set<MemoryHolder>();
  #growth = 0;
  #evicted = 0;
  #isRunning = false;
  #isTrimming = false;
  /** Most that was held since memory was last given back to the system. */
  #peak = 0;

  /** @param bytes what the process may take as a whole; `allowance`: what is counted of it (default: by the budget) */
  constructor(bytes: number, { allowance }: { allowance?: number } = {}) {
    this.#budget = bytes;
    this.#allowance = allowance ?? Math.max(bytes - PROCESS_BYTES, bytes * LEAST_PART);
  }

  /** What a cache that costs little to fill again may take. */
  get cacheBytes(): number {
    return this.#allowance * CACHE_PART;
  }

  /** Adds a holder; returns how to take it out again. */
  join(holder: MemoryHolder): () => void {
    this.#holders.add(holder);
    return () => this.#holders.delete(holder);
  }

  /** An inode was added. */
  grown(): void {
    if (++this.#growth < INODES_A_LOOK) return;
    this.#growth = 0;
    this.#peak = Math.max(this.#peak, this.#held());
    if (this.#isRunning || !this.#isOver()) return;
    this.#isRunning = true;
    // After the operation that adds them: what it has in its hands is not for us to give up.
    setImmediate(() => void this.#takeBack());
  }

  /** Inodes were forgotten: once that comes to much, the system gets the memory back. */
  shrunk(): void {
    if (this.#isTrimming || this.#peak - this.#held() < GIVEN_UP_BYTES) return;
    this.#isTrimming = true;
    setTimeout(() => {
      this.#isTrimming = false;
      for (const holder of this.#holders) holder.dropCaches?.();
      this.#peak = this.#held();
      // It holds the buffers that were given up, and frees them in another thread.
      collectGarbage();
      setTimeout(mallocTrim, TRIM_DELAY_MS).unref();
    }, TRIM_DELAY_MS).unref();
  }

  report(): MemoryReport {
    return {
      budget: this.#budget,
      resident: process.memoryUsage.rss(),
      held: this.#held(),
      inodes: this.#inodes(),
      evicted: this.#evicted,
    };
  }

  #held(): number {
    let bytes = 0;
    for (const holder of this.#holders) bytes += holder.byteLength;
    return bytes;
  }

  #forgotten(): number {
    let forgotten = 0;
    for (const holder of this.#holders) forgotten += holder.forgotten;
    return forgotten;
  }

  #inodes(): number {
    let inodes = 0;
    for (const holder of this.#holders) inodes += holder.inodes;
    return inodes;
  }

  #isOver(): boolean {
    const held = this.#held();
    if (held > this.#allowance * HIGH_MARK) return true;
    // Whatever else takes the memory: inodes are what can be spared, unless they are few.
    return (
      held > this.#allowance / 4 &&
      process.memoryUsage.rss() > Math.max(this.#budget, PROCESS_BYTES) * PROCESS_MARK
    );
  }

  async #takeBack(): Promise<void> {
    try {
      const goal = Math.min(this.#allowance, this.#held()) * LOW_MARK;
      let vain = 0;
      while (this.#held() > goal && vain < VAIN_ROUNDS) {
        const before = this.#forgotten();
        const largest = [...this.#holders].reduce((a, b) => (b.byteLength > a.byteLength ? b : a));
        await largest.reclaim(this.#held() - goal);
        await delay(FORGET_MS);
        const forgotten = this.#forgotten() - before;
        this.#evicted += forgotten;
        vain = forgotten < FEW_INODES ? vain + 1 : 0;
      }
      this.shrunk();
      // All that is left is in use: asking again at once would only cost time.
      if (vain > 0) await delay(PAUSE_MS, undefined, { ref: false });
    } finally {
      this.#isRunning = false;
    }
  }
}
