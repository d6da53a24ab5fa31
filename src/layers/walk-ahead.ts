// Fetching folders ahead of a program that walks through them.
import type { SizedTree } from '../git/sized-tree.ts';
import type { ObjectSource } from '../objects/object-source.ts';
import type { Snapshot, WantedTree } from '../upstream/upstream.ts';
import { LruCache } from '../util/lru.ts';
import type { ObjectId } from '../util/types.ts';
import { isBelow, parentPath, placesAfter } from './depth-first.ts';
import type { TreeTable } from './tree-table.ts';

/** Folders in one folder that had to be waited for before it counts as being walked through. */
const MISSES_BEFORE = 2;
const FIRST_WINDOW_FOLDERS = 16;
const MAX_WINDOW_FOLDERS = 512;
/** Payloads that are fetched ahead, in bytes. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;
/** Folders that are read back from the store while looking ahead. */
const MAX_STORE_READS = 32;
/** Walks at once; a further one takes the place of the one left longest. */
const MAX_WALKS = 4;
const REMEMBERED_FOLDERS = 256;
/** After so long without a listing, the walker has turned away, in milliseconds. */
const TURNED_AWAY_MS = 2000;

/** A program on its way through folders. */
interface Walk {
  /** The folder that it is taken to walk through. */
  top: string;
  /** The folder that it listed last. */
  position: string;
  /** How many folders ahead of it are to be known. */
  window: number;
  /** Listings since folders were last looked for. */
  listings: number;
  lastListingMs: number;
  /** Bytes of the payloads that were fetched for it, and their number. */
  bytes: number;
  trees: number;
  flight: AbortController | undefined;
}

/** What walking ahead works with. */
export interface WalkAheadOptions {
  readonly snapshot: Snapshot;
  readonly objects: ObjectSource;
  /** A parsed tree that is in memory. */
  readonly known: (id: ObjectId) => TreeTable | undefined;
  /** Parses a tree and keeps it in memory; undefined when it is malformed. */
  readonly keep: (id: ObjectId, tree: SizedTree) => TreeTable | undefined;
}

/**
 * Watches which folders are listed. When folders in one folder had to be fetched one after the other, those that a walk
 * meets next are fetched together, in the order of `find`: few at first, more as long as the walker keeps up. What is
 * fetched ahead waits behind everything that a process waits for.
 */
export class WalkAhead {
  readonly #options: WalkAheadOptions;
  /** How often a folder in this folder had to be waited for. */
  readonly #misses = new LruCache<string, number>(REMEMBERED_FOLDERS);
  readonly #walks = new Set<Walk>();

  constructor(options: WalkAheadOptions) {
    this.#options = options;
  }

  /** A folder is being listed; `missed` when it has to be fetched, which has begun. */
  listing(path: string, missed: boolean): void {
    if (!missed && this.#walks.size === 0) return;
    const walk = this.#walkOf(path, missed);
    if (walk === undefined) return;
    walk.position = path;
    walk.listings++;
    walk.lastListingMs = performance.now();
    // Looking ahead costs a step for each folder of the window, so it is not done at every listing.
    if (missed || isKeepingUp(walk)) this.#lookAhead(walk);
  }

  #walkOf(path: string, missed: boolean): Walk | undefined {
    for (const walk of this.#walks) if (isBelow(path, walk.top)) return walk;
    if (!missed || path === '') return undefined;
    const parent = parentPath(path);
    const misses = (this.#misses.get(parent) ?? 0) + 1;
    this.#misses.set(parent, misses);
    // Who leaves a folder for the one beside it walks through the folder of both.
    const left = [...this.#walks].find(({ top }) => top !== '' && parentPath(top) === parent);
    if (left !== undefined) {
      left.top = parent;
      return left;
    }
    return misses < MISSES_BEFORE ? undefined : this.#begin(parent, path);
  }

  #begin(top: string, position: string): Walk {
    if (this.#walks.size >= MAX_WALKS) {
      const [oldest] = [...this.#walks].sort((a, b) => a.lastListingMs - b.lastListingMs);
      if (oldest !== undefined) this.#end(oldest);
    }
    const walk: Walk = {
      top,
      position,
      window: FIRST_WINDOW_FOLDERS,
      listings: 0,
      lastListingMs: performance.now(),
      bytes: 0,
      trees: 0,
      flight: undefined,
    };
    this.#walks.add(walk);
    const timer = setInterval(() => {
      if (performance.now() - walk.lastListingMs >= TURNED_AWAY_MS) this.#end(walk);
      if (!this.#walks.has(walk)) clearInterval(timer);
    }, TURNED_AWAY_MS);
    timer.unref();
    return walk;
  }

  #end(walk: Walk): void {
    this.#walks.delete(walk);
    walk.flight?.abort();
  }

  #lookAhead(walk: Walk): void {
    if (walk.flight !== undefined || !this.#walks.has(walk)) return;
    if (isKeepingUp(walk)) walk.window = Math.min(MAX_WINDOW_FOLDERS, walk.window * 4);
    walk.listings = 0;
    const wanted = this.#chooseNext(walk);
    if (wanted.length === 0) return;
    const flight = new AbortController();
    walk.flight = flight;
    const take = (id: ObjectId, tree: SizedTree): void => {
      walk.bytes += tree.payload.length;
      walk.trees++;
      this.#options.keep(id, tree);
    };
    void this.#options.objects
      .prefetchTrees(wanted, take, { priority: 'prefetch', signal: flight.signal })
      .then(
        () => {
          walk.flight = undefined;
          if (isKeepingUp(walk)) this.#lookAhead(walk);
        },
        // Whoever lists one of these folders meets the error, and fetches it alone.
        () => this.#end(walk),
      );
  }

  /** Those of the folders ahead that have to be fetched. */
  #chooseNext(walk: Walk): WantedTree[] {
    const { snapshot, objects, known, keep } = this.#options;
    const wanted: WantedTree[] = [];
    const asked = new Set<ObjectId>();
    let reads = 0;
    const find = (id: ObjectId): TreeTable | undefined => {
      const table = known(id);
      if (table !== undefined || asked.has(id) || reads >= MAX_STORE_READS) return table;
      const stored = objects.storedTree(id);
      if (stored === undefined) return undefined;
      reads++;
      return keep(id, stored);
    };
    const average = walk.trees === 0 ? 0 : walk.bytes / walk.trees;
    const limit = average === 0 ? walk.window : Math.min(walk.window, Math.ceil(MAX_WINDOW_BYTES / average));
    let ahead = 0;
    for (const { folder, table, index } of placesAfter(
      { rootId: snapshot.tree, find, files: false },
      walk.top,
      walk.position,
    )) {
      if (++ahead > limit) break;
      const id = table.id(index);
      if (asked.has(id) || find(id) !== undefined) continue;
      asked.add(id);
      const name = table.name(index);
      wanted.push({ id, location: { snapshot, path: folder === '' ? name : `${folder}/${name}` } });
    }
    return wanted;
  }
}

/** Whether the walker has come so far since folders were last looked for that it is worth looking further. */
function isKeepingUp({ listings, window }: Walk): boolean {
  return listings * 4 >= window;
}
