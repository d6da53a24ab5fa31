// The contract of an upstream: a server that objects come from.
import type { PackProgress } from '../git/fetch-pack.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { ObjectId } from '../util/types.ts';

/** Options of every request. */
export interface UpstreamRequest {
  /** Aborts the request; the promise rejects with an UpstreamError of kind `aborted`. */
  readonly signal?: AbortSignal;
  /** `demand`: a process waits for it. `prefetch`: it may wait for all demands. Default `demand`. */
  readonly priority?: 'demand' | 'prefetch';
}

/** A path of the repository at one commit. */
export interface Snapshot {
  /** The commit at the head of the repository when the path was resolved; usable as `refs=` with Mega. */
  readonly commit: ObjectId;
  /** Committer time of that commit, in seconds. */
  readonly time: number;
  /** Id of the tree at the path. */
  readonly tree: ObjectId;
  /** The path, normalised: a leading slash, no trailing one; `/` for the whole repository. Latin1 binary string. */
  readonly path: string;
}

/** Where a tree hangs: servers that cannot find a tree by its id need it. */
export interface TreeLocation {
  readonly snapshot: Snapshot;
  /** Path below the snapshot's path (`''` for its root), `/`-separated, latin1 binary string. */
  readonly path: string;
}

/** A tree, and where it hangs. */
export interface WantedTree {
  readonly id: ObjectId;
  readonly location: TreeLocation;
}

/** Takes the bytes of one blob. */
export interface BlobSink {
  /**
   * An attempt starts at the first byte: what was written before is void. Called again when a transfer is repeated.
   * `size` is the length in bytes where the server tells it.
   */
  begin(size: number | undefined): void | Promise<void>;
  /** The next bytes; the chunk may be reused after the call settles. */
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * The id of what was written since `begin`, which told the size; called once, after the last byte. A sink that hashes
   * what it gets has this, so that whoever fills it need not hash the same bytes again.
   */
  digest?(): ObjectId;
}

/**
 * A source of Git objects. Every method has deadlines, retries what may be retried, and shares a bounded number of
 * connections; what it returns hashes to the id that was asked for. It fails with UpstreamError.
 */
export interface Upstream {
  /** For messages: the server's URL, without credentials. */
  readonly url: string;
  /**
   * Pins a path to the commit that the server's head is at now (or to `commit`). Fails with kind `not-found` when the
   * path does not exist, and when it is a file.
   */
  resolve(path: string, request?: UpstreamRequest & { commit?: ObjectId }): Promise<Snapshot>;
  /** A tree, and the sizes of its blobs where the server tells them in the same answer. */
  fetchTree(id: ObjectId, location: TreeLocation, request?: UpstreamRequest): Promise<SizedTree>;
  /**
   * Many trees, in as few requests as the server allows. `take` gets each as it comes, in any order, or the error that
   * it met; the promise rejects when the server or the caller is gone, or `take` failed.
   */
  fetchTrees(
    wanted: readonly WantedTree[],
    take: (id: ObjectId, tree: SizedTree | Error) => void,
    request?: UpstreamRequest,
  ): Promise<void>;
  /** Sizes in bytes of blobs. An id that the server does not have is missing in the result. */
  fetchSizes(ids: readonly ObjectId[], request?: UpstreamRequest): Promise<Map<ObjectId, number>>;
  /** Whether many sizes cost one request (else they cost one each). */
  readonly batchesSizes: () => Promise<boolean>;
  /** One blob. Resolves when all bytes were written and hash to `id`. */
  fetchBlob(id: ObjectId, sink: BlobSink, request?: UpstreamRequest): Promise<void>;
  /**
   * Many blobs, in as few requests as the server allows; `sinkOf` is asked when the bytes of a blob begin, once however
   * often its transfer is repeated, and `done` called when they were verified, or with the error that the blob met (that
   * of its sink as it is). `done` is called exactly once for each distinct id; the promise rejects beside that when the
   * whole failed: the server or the caller is gone, or `done` failed.
   */
  fetchBlobs(
    ids: readonly ObjectId[],
    sinkOf: (id: ObjectId) => BlobSink,
    done: (id: ObjectId, error: Error | undefined) => void | Promise<void>,
    request?: UpstreamRequest,
  ): Promise<void>;
  /**
   * A folder of the repository (path as `Snapshot.path`) with all that is below it, as the server's head has it, in one
   * pack: into a new bare repository at `directory`, which must not exist. Fails with kind `refused` or `not-found`
   * where the server does not offer that; whatever happened, the caller removes `directory`.
   */
  fetchSubtree(
    path: string,
    directory: string,
    request?: UpstreamRequest & { onProgress?: (progress: PackProgress) => void },
  ): Promise<void>;
  /** Whether many blobs cost one request (else they cost one each). */
  readonly batchesBlobs: () => Promise<boolean>;
  /** Ends all requests and closes the connections. */
  close(): Promise<void>;
}
