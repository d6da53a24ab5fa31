// Git objects from the local store, and from an upstream what the store lacks.
import { rm } from 'node:fs/promises';
import type { PackProgress } from '../git/fetch-pack.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { TreeLocation, Upstream, UpstreamRequest, WantedTree } from '../upstream/upstream.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { linkAbort } from '../util/abort-link.ts';
import { ErrnoError } from '../util/errno.ts';
import { EMPTY_BLOB_ID, EMPTY_TREE_ID } from '../util/git-hash.ts';
import { SingleFlight } from '../util/single-flight.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import { BlobPrefetch, type PrefetchObserver, type PrefetchResult } from './blob-prefetch.ts';
import type { BlobsAheadRequest, ObjectSource } from './object-source.ts';
import type { ObjectStore } from './object-store.ts';
import { PrefetchRoom } from './prefetch-room.ts';
import { SizeLoader } from './size-loader.ts';
import { SubtreePack } from './subtree-pack.ts';
import { TreePrefetch } from './tree-prefetch.ts';

/** How often a blob is fetched that is gone, or damaged, each time it should be opened. */
const OPEN_ATTEMPTS = 3;

/** Parts of LazyObjects. The caller closes the store and the upstream, after the objects. */
export interface LazyObjectsParts {
  readonly store: ObjectStore;
  readonly upstream: Upstream;
}

/** What was served since the start, for status and metrics. */
export interface ObjectCounters {
  /** Trees and blobs that the store had. */
  readonly treeHits: number;
  readonly blobHits: number;
  /** Trees and blobs that came from the upstream, and sizes that were asked for on their own. */
  readonly treesFetched: number;
  readonly blobsFetched: number;
  readonly sizesFetched: number;
  /** Bytes of content of those trees and blobs. */
  readonly bytesFetched: number;
}

/** An ObjectSource over a store and an upstream. */
export interface LazyObjects extends ObjectSource, AsyncDisposable {
  /** What was served so far. */
  counters(): ObjectCounters;
  /**
   * Fetches blobs ahead of need, as many in a request as the upstream allows. Rejects when the upstream fails as a
   * whole; single blobs that cannot be had are in the result.
   */
  prefetchBlobs(
    ids: readonly ObjectId[],
    request?: BlobsAheadRequest,
    observer?: PrefetchObserver,
  ): Promise<PrefetchResult>;
  /** Whether the store has a blob; opening it may still find it damaged. */
  hasBlob(id: ObjectId): boolean;
  /** Whether the store has a tree. */
  hasTree(id: ObjectId): boolean;
  /** What the store may take of what is fetched ahead of need. `prefetchBlobs` keeps to it by itself. */
  readonly room: PrefetchRoom;
  /** Whether many blobs, and whether many sizes, cost one request; else they cost one each. */
  batches(): Promise<{ readonly blobs: boolean; readonly sizes: boolean }>;
  /**
   * Fetches a folder of the repository as one pack (see `Upstream.fetchSubtree`), from which objects can then be taken
   * over. The caller closes it. Rejects with UpstreamError, and leaves nothing behind then.
   */
  fetchSubtree(
    path: string,
    request?: UpstreamRequest & { onProgress?: (progress: PackProgress) => void },
  ): Promise<SubtreePack>;
  /** Aborts all fetches, and resolves when nothing uses store and upstream any more. May be called again. */
  close(): Promise<void>;
}

const EMPTY_TREE: SizedTree = { payload: Buffer.alloc(0), sizes: undefined };

const abortError = (): UpstreamError => new UpstreamError('aborted', 'the caller gave up waiting');

/**
 * Makes the objects.
 *
 * One flight for each object: callers that want the same tree or blob at the same time share one fetch, which is
 * aborted when all of them gave up. A demand never waits for a mere prefetch that may be queued behind everything
 * else: it joins one whose bytes are arriving, and starts its own fetch otherwise.
 */
export function createLazyObjects(parts: LazyObjectsParts): LazyObjects {
  return new StoredObjects(parts);
}

class StoredObjects implements LazyObjects {
  readonly room: PrefetchRoom;
  readonly #store: ObjectStore;
  readonly #upstream: Upstream;
  readonly #trees = new SingleFlight<ObjectId, SizedTree>(abortError);
  readonly #blobs = new SingleFlight<ObjectId, void>(abortError);
  readonly #blobsUnderWay = new Set<ObjectId>();
  readonly #sizes: SizeLoader;
  readonly #prefetch: BlobPrefetch;
  readonly #treePrefetch: TreePrefetch;
  readonly #prefetching = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #treeHits = 0;
  #blobHits = 0;
  #treesFetched = 0;
  #blobsFetched = 0;
  #sizesFetched = 0;
  #bytesFetched = 0;

  constructor({ store, upstream }: LazyObjectsParts) {
    this.#store = store;
    this.#upstream = upstream;
    this.#sizes = new SizeLoader(store, upstream, {
      abortError,
      onFetched: (count) => {
        this.#sizesFetched += count;
      },
    });
    this.room = new PrefetchRoom(() => store.prefetchRoom());
    this.#prefetch = new BlobPrefetch(store, upstream, this.room, (size) => this.#countBlob(size));
    this.#treePrefetch = new TreePrefetch(store, upstream, (bytes) => this.#countTree(bytes));
  }

  get correctedSizes(): ReadonlyMap<ObjectId, number> {
    return this.#store.correctedSizes;
  }

  tree(id: ObjectId, location: TreeLocation, request: UpstreamRequest = {}): Awaitable<SizedTree> {
    // Git itself does not store the empty tree, so a server may not have it.
    if (id === EMPTY_TREE_ID) return EMPTY_TREE;
    const stored = this.#store.tree(id);
    if (stored !== undefined) {
      this.#treeHits++;
      return stored;
    }
    if (this.#closing.signal.aborted) return Promise.reject(abortError());
    const { priority = 'demand' } = request;
    const urgent = priority === 'demand';
    const fetch = async (signal: AbortSignal): Promise<SizedTree> => {
      const ahead = urgent ? await this.#treePrefetch.waitFor(id, signal) : undefined;
      if (ahead !== undefined) return ahead;
      const tree = await this.#upstream.fetchTree(id, location, { signal, priority });
      this.#store.putTrees([[id, tree]]);
      this.#countTree(tree.payload.length);
      return tree;
    };
    return this.#trees.run(id, fetch, { signal: request.signal, urgent });
  }

  storedTree(id: ObjectId): SizedTree | undefined {
    return id === EMPTY_TREE_ID ? EMPTY_TREE : this.#store.tree(id);
  }

  prefetchTrees(
    wanted: readonly WantedTree[],
    take: (id: ObjectId, tree: SizedTree) => void,
    request: UpstreamRequest = {},
  ): Promise<void> {
    return this.#ahead(request, (linked) => this.#treePrefetch.fetch(wanted, take, linked));
  }

  keepTreeSizes(id: ObjectId, sizes: Buffer): void {
    this.#store.putTreeSizes(id, sizes);
  }

  correctSize(id: ObjectId, size: number): void {
    this.#store.correctSize(id, size);
  }

  openBlob(id: ObjectId, request: UpstreamRequest = {}): Awaitable<number> {
    const stored = this.#store.openBlob(id);
    if (typeof stored !== 'number') return this.#openLater(id, stored, request);
    this.#blobHits++;
    return stored;
  }

  knownSize(id: ObjectId): number | undefined {
    return id === EMPTY_BLOB_ID ? 0 : this.#store.size(id);
  }

  eachKnownSize(ids: readonly ObjectId[], each: (index: number, size: number) => void): void {
    this.#store.eachSize(ids, each);
    for (const [index, id] of ids.entries()) if (id === EMPTY_BLOB_ID) each(index, 0);
  }

  loadSizes(ids: readonly ObjectId[], request: UpstreamRequest = {}): Awaitable<void> {
    const unknown = new Set(ids);
    this.eachKnownSize(ids, (index) => unknown.delete(ids[index] ?? ''));
    if (unknown.size === 0) return undefined;
    if (this.#closing.signal.aborted) return Promise.reject(abortError());
    return this.#sizes.load([...unknown], request);
  }

  prefetchBlobs(
    ids: readonly ObjectId[],
    request: BlobsAheadRequest = {},
    observer: PrefetchObserver = {},
  ): Promise<PrefetchResult> {
    const isUnderWay = (id: ObjectId): boolean => this.#blobsUnderWay.has(id);
    return this.#ahead(request, (linked) =>
      this.#prefetch.fetch(ids, isUnderWay, { ...request, ...linked }, observer),
    );
  }

  hasBlob(id: ObjectId): boolean {
    return this.#store.hasBlob(id);
  }

  hasTree(id: ObjectId): boolean {
    return id === EMPTY_TREE_ID || this.#store.hasTree(id);
  }

  async batches(): Promise<{ blobs: boolean; sizes: boolean }> {
    const [blobs, sizes] = await Promise.all([this.#upstream.batchesBlobs(), this.#upstream.batchesSizes()]);
    return { blobs, sizes };
  }

  fetchSubtree(
    path: string,
    request: UpstreamRequest & { onProgress?: (progress: PackProgress) => void } = {},
  ): Promise<SubtreePack> {
    return this.#ahead(request, async (linked) => {
      const directory = this.#store.temporaryPath();
      try {
        await this.#upstream.fetchSubtree(path, directory, { ...request, ...linked });
        return new SubtreePack(directory, this.#store);
      } catch (error) {
        await rm(directory, { recursive: true, force: true });
        throw error;
      }
    });
  }

  counters(): ObjectCounters {
    return {
      treeHits: this.#treeHits,
      blobHits: this.#blobHits,
      treesFetched: this.#treesFetched,
      blobsFetched: this.#blobsFetched,
      sizesFetched: this.#sizesFetched,
      bytesFetched: this.#bytesFetched,
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([
      this.#trees.close(),
      this.#blobs.close(),
      this.#sizes.close(),
      Promise.allSettled(this.#prefetching),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #openLater(
    id: ObjectId,
    verification: Awaitable<number | undefined>,
    request: UpstreamRequest,
  ): Promise<number> {
    let fd = await verification;
    if (fd !== undefined) {
      this.#blobHits++;
      return fd;
    }
    for (let attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
      await this.#fetchBlob(id, request);
      fd = await this.#store.openBlob(id);
      if (fd !== undefined) return fd;
    }
    throw new ErrnoError(
      'EIO',
      `blob ${id} vanishes from the local store (${this.#store.directory}) as soon as it is fetched; check the disk`,
    );
  }

  #fetchBlob(id: ObjectId, request: UpstreamRequest): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(abortError());
    const { signal, priority = 'demand' } = request;
    const urgent = priority === 'demand';
    const fetch = async (flightSignal: AbortSignal): Promise<void> => {
      this.#blobsUnderWay.add(id);
      try {
        if (urgent && (await this.#prefetch.waitFor(id, flightSignal))) return;
        await this.#download(id, { signal: flightSignal, priority });
      } finally {
        this.#blobsUnderWay.delete(id);
      }
    };
    return this.#blobs.run(id, fetch, { signal, urgent });
  }

  async #download(id: ObjectId, request: UpstreamRequest): Promise<void> {
    const writer = this.#store.writeBlob(id);
    try {
      if (id === EMPTY_BLOB_ID) {
        writer.begin(0);
        await writer.finish();
        return;
      }
      await this.#upstream.fetchBlob(id, writer, request);
      this.#countBlob(await writer.finish());
    } catch (error) {
      throw writer.failure ?? error;
    } finally {
      writer.abandon();
    }
  }

  /** Work ahead of need, which ends when the objects are closed. */
  async #ahead<T>(request: UpstreamRequest, work: (linked: UpstreamRequest) => Promise<T>): Promise<T> {
    const { priority = 'prefetch' } = request;
    const link = linkAbort(this.#closing.signal, request.signal);
    const working = work({ priority, signal: link.signal });
    this.#prefetching.add(working);
    try {
      return await working;
    } finally {
      this.#prefetching.delete(working);
      link.unlink();
    }
  }

  #countTree(bytes: number): void {
    this.#treesFetched++;
    this.#bytesFetched += bytes;
  }

  #countBlob(size: number): void {
    this.#blobsFetched++;
    this.#bytesFetched += size;
  }
}
