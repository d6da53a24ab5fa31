// Fetches many trees ahead of need, and lets who needs one of them at once wait for it.
import { MalformedTreeError, parseRawTree } from '../git/raw-tree.ts';
import { isBlobEntry, packSizes } from '../git/sized-tree.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { Upstream, UpstreamRequest, WantedTree } from '../upstream/upstream.ts';
import type { ObjectId } from '../util/types.ts';
import { orTimeout } from '../util/or-timeout.ts';
import type { ObjectStore } from './object-store.ts';

/** How long no tree of a request may arrive before somebody who needs one fetches it alone. */
const PATIENCE_MS = 500;
/** Trees of one transaction: about five milliseconds of this thread. */
const TREES_PER_TRANSACTION = 64;

/** A request for many trees. */
interface Flight {
  /** When a tree last came, in milliseconds of performance.now(). */
  lastProgress: number;
}

/** A tree that was asked for and is not stored yet. */
interface Arrival {
  readonly flight: Flight;
  /** Resolves to the tree, or to undefined when it did not come. */
  readonly ended: Promise<SizedTree | undefined>;
  readonly end: (tree: SizedTree | undefined) => void;
}

/** Prefetching over `Upstream.fetchTrees`. */
export class TreePrefetch {
  readonly #store: ObjectStore;
  readonly #upstream: Upstream;
  readonly #onFetched: (bytes: number) => void;
  readonly #pending = new Map<ObjectId, Arrival>();

  constructor(store: ObjectStore, upstream: Upstream, onFetched: (bytes: number) => void) {
    this.#store = store;
    this.#upstream = upstream;
    this.#onFetched = onFetched;
  }

  /**
   * Fetches and stores those trees that are neither stored nor under way. `take` gets each as it comes; once more with
   * its sizes, where these had to be asked for on their own.
   */
  async fetch(
    wanted: readonly WantedTree[],
    take: (id: ObjectId, tree: SizedTree) => void,
    request: UpstreamRequest,
  ): Promise<void> {
    const open = new Map<ObjectId, WantedTree>();
    for (const tree of wanted) {
      if (!this.#pending.has(tree.id) && !this.#store.hasTree(tree.id)) open.set(tree.id, tree);
    }
    if (open.size === 0) return;
    const flight: Flight = { lastProgress: performance.now() };
    for (const id of open.keys()) this.#pending.set(id, createArrival(flight));
    const unsaved: [ObjectId, SizedTree][] = [];
    const unsized: [ObjectId, Buffer][] = [];
    const save = (): void => {
      const trees = unsaved.splice(0);
      if (trees.length > 0) this.#store.putTrees(trees);
      for (const [id] of trees) this.#pending.delete(id);
    };
    try {
      await this.#upstream.fetchTrees(
        [...open.values()],
        (id, tree) => {
          flight.lastProgress = performance.now();
          if (tree instanceof Error) return;
          this.#pending.get(id)?.end(tree);
          this.#onFetched(tree.payload.length);
          unsaved.push([id, tree]);
          if (tree.sizes === undefined) unsized.push([id, tree.payload]);
          take(id, tree);
          if (unsaved.length >= TREES_PER_TRANSACTION) save();
        },
        request,
      );
    } finally {
      try {
        // Also what came before the whole failed.
        save();
      } finally {
        for (const id of open.keys()) {
          this.#pending.get(id)?.end(undefined);
          this.#pending.delete(id);
        }
      }
    }
    await this.#addSizes(unsized, take, request);
  }

  /**
   * Waits for a tree that is on its way. Undefined when it is not, or stops arriving: whoever needs it then fetches it
   * alone, since a prefetch may be queued behind everything else.
   */
  async waitFor(id: ObjectId, signal: AbortSignal): Promise<SizedTree | undefined> {
    for (;;) {
      const arrival = this.#pending.get(id);
      if (arrival === undefined || signal.aborted) return undefined;
      const patience = arrival.flight.lastProgress + PATIENCE_MS - performance.now();
      if (patience <= 0) return undefined;
      const outcome = await orTimeout(
        arrival.ended.then((tree) => ({ tree })),
        patience,
        signal,
      );
      if (outcome !== undefined) return outcome.tree;
    }
  }

  /** Asks for the sizes of many trees together, where that costs one request; else it is left to who needs them. */
  async #addSizes(
    trees: readonly (readonly [ObjectId, Buffer])[],
    take: (id: ObjectId, tree: SizedTree) => void,
    request: UpstreamRequest,
  ): Promise<void> {
    if (trees.length === 0 || !(await this.#upstream.batchesSizes())) return;
    const blobs = new Map(trees.map(([id, payload]) => [id, blobsOf(payload)]));
    const ids = new Set([...blobs.values()].flat());
    const known = await this.#upstream.fetchSizes([...ids], request);
    for (const [id, payload] of trees) {
      const sizes = packSizes((blobs.get(id) ?? []).map((blob) => known.get(blob)));
      this.#store.putTreeSizes(id, sizes);
      take(id, { payload, sizes });
    }
  }
}

function createArrival(flight: Flight): Arrival {
  let end: Arrival['end'] = () => undefined;
  const ended = new Promise<SizedTree | undefined>((resolve) => {
    end = resolve;
  });
  return { flight, ended, end };
}

function blobsOf(payload: Buffer): ObjectId[] {
  try {
    return parseRawTree(payload)
      .filter(isBlobEntry)
      .map(({ id }) => id);
  } catch (error) {
    if (error instanceof MalformedTreeError) return [];
    throw error;
  }
}
