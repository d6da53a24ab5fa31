// The contract between layers and the objects below them: the local store in front of an upstream.
import type { Awaitable, ObjectId } from '../util/types.ts';
import type { TreeLocation, UpstreamRequest } from '../upstream/upstream.ts';

/**
 * Git objects, from the local store where it has them (then as a value, without waiting), else fetched once however
 * many ask, verified and kept. Rejects with UpstreamError, or ErrnoError for the local disk (ENOSPC).
 */
export interface ObjectSource {
  /** Payload of a tree. */
  tree(id: ObjectId, location: TreeLocation, request?: UpstreamRequest): Awaitable<Buffer>;
  /** A new read-only descriptor of a blob's content; the caller closes it. */
  openBlob(id: ObjectId, request?: UpstreamRequest): Awaitable<number>;
  /** Size of a blob in bytes if the store knows it. */
  knownSize(id: ObjectId): number | undefined;
  /** Learns the sizes of blobs; afterwards `knownSize` answers for each. Rejects when one cannot be learned. */
  loadSizes(ids: readonly ObjectId[], request?: UpstreamRequest): Awaitable<void>;
}
