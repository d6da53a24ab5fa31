// The contract of a read-only layer: the lower side of an overlay. A layer may be lazy.
import type { Awaitable, ObjectId } from '../util/types.ts';

/** What a request for a layer's content carries. */
export interface LayerRequest {
  /** Gives up waiting (the fetch itself may go on for others). The promise then rejects with EINTR. */
  readonly signal?: AbortSignal;
}

/** An entry of a listing: a value, valid for the life of the layer. */
export interface LayerEntry {
  /** Name as a latin1 binary string; empty for the root. */
  readonly name: string;
  /**
   * `st_mode`: folders 040755, files 0100644 or 0100755, symlinks 0120777. A submodule is an empty folder.
   */
  readonly mode: number;
  /** Git object id: of the tree, the blob, or (submodule) the commit. */
  readonly id: ObjectId;
  /** Path below the layer's root, `/`-separated, no leading slash, latin1; empty for the root. */
  readonly path: string;
}

/** The entries of one folder. Order is stable: two listings of the same folder agree. */
export interface Listing {
  readonly length: number;
  at(index: number): LayerEntry;
  get(name: string): LayerEntry | undefined;
}

/**
 * A read-only tree. Everything it says about one entry stays the same for the layer's whole life: a layer shows one
 * commit. What is in memory or in the local store is returned as a value; what must be fetched, as a promise that
 * rejects with ErrnoError (EIO, ETIMEDOUT, EINTR, ENOENT never: what a listing names exists).
 */
export interface Layer {
  /** The root folder. */
  readonly root: LayerEntry;
  /** Modification time of all entries: the commit's time, in seconds. */
  readonly time: number;
  /** The entries of a folder. */
  list(directory: LayerEntry, request?: LayerRequest): Awaitable<Listing>;
  /** The entry at a path (format of `LayerEntry.path`), or undefined. */
  resolve(path: string, request?: LayerRequest): Awaitable<LayerEntry | undefined>;
  /** Size of a file or symlink in bytes if it is known without waiting. */
  knownSize(entry: LayerEntry): number | undefined;
  /** Learns the sizes of all files and symlinks of a listing, in as few requests as the source allows. */
  loadSizes(listing: Listing, request?: LayerRequest): Awaitable<void>;
  /** Size of one file or symlink in bytes. */
  size(entry: LayerEntry, request?: LayerRequest): Awaitable<number>;
  /** A new read-only descriptor of the file's complete content; the caller closes it. */
  open(entry: LayerEntry, request?: LayerRequest): Awaitable<number>;
  /** Target of a symlink. */
  readlink(entry: LayerEntry, request?: LayerRequest): Awaitable<Buffer>;
}
