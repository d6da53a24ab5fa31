// The contract between layers and the objects below them: the local store in front of an upstream.
import type { SizedTree } from '../git/sized-tree.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import type { TreeLocation, UpstreamRequest, WantedTree } from '../upstream/upstream.ts';

/** Options of fetching blobs ahead. */
export interface BlobsAheadRequest extends UpstreamRequest {
  /** Sizes in bytes that the caller knows, by which the store tells how many it has room for. */
  readonly sizeOf?: (id: ObjectId) => number | undefined;
  /** Waits while others have the store's room, rather than leave out what they will not take; default false. */
  readonly waitsForRoom?: boolean;
}

/**
 * Git objects, from the local store where it has them (then as a value, without waiting), else fetched once however
 * many ask, verified and kept. Rejects with UpstreamError, or ErrnoError for the local disk (ENOSPC). That something
 * could not be fetched is not remembered: the next request tries again.
 */
export interface ObjectSource {
  /** A tree, with the sizes of its blobs where they came with it. It is shared: do not write to it. */
  tree(id: ObjectId, location: TreeLocation, request?: UpstreamRequest): Awaitable<SizedTree>;
  /** A tree if the store has it. */
  storedTree(id: ObjectId): SizedTree | undefined;
  /**
   * Fetches trees ahead of need, as many in a request as the upstream allows, but for those that are stored or under
   * way. `take` gets each as it comes; once more with its sizes, where these came later. Rejects when the upstream fails
   * as a whole; a single tree that cannot be had is left to whoever lists it.
   */
  prefetchTrees(
    wanted: readonly WantedTree[],
    take: (id: ObjectId, tree: SizedTree) => void,
    request?: UpstreamRequest,
  ): Promise<void>;
  /** Keeps the packed sizes (git/sized-tree.ts) of a tree that came without them. */
  keepTreeSizes(id: ObjectId, sizes: Buffer): void;
  /** A new read-only descriptor of a blob's content; the caller closes it. */
  openBlob(id: ObjectId, request?: UpstreamRequest): Awaitable<number>;
  /** Size of a blob in bytes if the store knows it. */
  knownSize(id: ObjectId): number | undefined;
  /** Calls `each` with the index and the size of those blobs whose size the store knows; for many at once. */
  eachKnownSize(ids: readonly ObjectId[], each: (index: number, size: number) => void): void;
  /** True sizes of blobs of which the server told wrong ones; these count before all others. */
  readonly correctedSizes: ReadonlyMap<ObjectId, number>;
  /** Notes such a size. */
  correctSize(id: ObjectId, size: number): void;
  /**
   * Learns the sizes of blobs, asking only for those that are not known, in as few requests as the upstream allows.
   * Afterwards `knownSize` answers for each one that the upstream has; one that it does not have stays unknown, so that
   * a single lost blob does not spoil a whole folder. Rejects when the upstream could not be asked.
   */
  loadSizes(ids: readonly ObjectId[], request?: UpstreamRequest): Awaitable<void>;
  /**
   * Fetches blobs ahead of need, as many in a request as the upstream allows. Rejects when the upstream fails as a
   * whole; a single blob that cannot be had is left to whoever opens it.
   */
  prefetchBlobs(ids: readonly ObjectId[], request?: BlobsAheadRequest): Promise<unknown>;
}
