// The contract between layers and the objects below them: the local store in front of an upstream.
import type { Awaitable, ObjectId } from '../util/types.ts';
import type { TreeLocation, UpstreamRequest } from '../upstream/upstream.ts';

/**
 * Git objects, from the local store where it has them (then as a value, without waiting), else fetched once however
 * many ask, verified and kept. Rejects with UpstreamError, or ErrnoError for the local disk (ENOSPC). That something
 * could not be fetched is not remembered: the next request tries again.
 */
export interface ObjectSource {
  /** Payload of a tree. It is shared: do not write to it. */
  tree(id: ObjectId, location: TreeLocation, request?: UpstreamRequest): Awaitable<Buffer>;
  /** A new read-only descriptor of a blob's content; the caller closes it. */
  openBlob(id: ObjectId, request?: UpstreamRequest): Awaitable<number>;
  /** Size of a blob in bytes if the store knows it. */
  knownSize(id: ObjectId): number | undefined;
  /** Calls `each` with the index and the size of those blobs whose size the store knows; for many at once. */
  eachKnownSize(ids: readonly ObjectId[], each: (index: number, size: number) => void): void;
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
  prefetchBlobs(ids: readonly ObjectId[], request?: UpstreamRequest): Promise<unknown>;
}
