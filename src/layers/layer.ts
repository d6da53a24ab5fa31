// The contract of a read-only layer: the lower side of an overlay. A layer may be lazy.
import type { ArrivingContent } from '../util/arriving-content.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';

/** What a request for a layer's content carries. */
export interface LayerRequest {
  /** Gives up waiting (the fetch itself goes on while others wait for it). The promise then rejects, as EINTR. */
  readonly signal?: AbortSignal;
  /** `demand`: a process waits for it. `prefetch`: it may wait for all demands. Default `demand`. */
  readonly priority?: 'demand' | 'prefetch';
}

/** An entry of a listing: a value, valid for the life of the layer, and good for the layer it came from only. */
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
  /** Set for a submodule only: whoever writes a tree keeps its mode 0160000 by it. */
  readonly isSubmodule?: boolean;
}

/**
 * The entries of one folder. Order is stable: two listings of the same folder agree. All names can be used as names of
 * files: an entry of a broken or hostile tree that cannot is left out (see createMonorepoLayer).
 */
export interface Listing {
  readonly length: number;
  /** The entry at an index below `length`. Throws RangeError for others. */
  at(index: number): LayerEntry;
  /** Name and mode of the entry at an index below `length`. */
  nameAt(index: number): string;
  modeAt(index: number): number;
  /** Index of a name, or -1. */
  find(name: string): number;
  get(name: string): LayerEntry | undefined;
  /** Bytes of memory that whoever keeps the listing keeps. */
  readonly byteLength: number;
}

/**
 * A read-only tree. Everything it says about one entry stays the same for the layer's whole life: a layer shows one
 * commit. What is in memory or in the local store is returned as a value; what must be fetched, as a promise.
 *
 * A failure is thrown or rejected as an ErrnoError (the local disk, or the wrong kind of entry: ENOTDIR, EISDIR, ELOOP,
 * EINVAL; EIO for an object that makes no sense) or as the UpstreamError that the source met, which fuse/errno.ts maps
 * to EIO, ETIMEDOUT, EINTR or ESTALE; never ENOENT: what a listing names exists.
 */
export interface Layer {
  /** The root folder. */
  readonly root: LayerEntry;
  /** Modification time of all entries: the commit's time, in seconds. */
  readonly time: number;
  /** The entries of a folder; none for a submodule. ENOTDIR for anything else. */
  list(directory: LayerEntry, request?: LayerRequest): Awaitable<Listing>;
  /** The entry at a path (format of `LayerEntry.path`), or undefined. */
  resolve(path: string, request?: LayerRequest): Awaitable<LayerEntry | undefined>;
  /** Size of a file or symlink in bytes if it is known without waiting; undefined for a folder. */
  knownSize(entry: LayerEntry): number | undefined;
  /**
   * Learns the sizes of all files and symlinks of a listing, in as few requests as the source allows. Afterwards
   * `knownSize` answers for the entries of this listing, also for those handed out before; except for a blob that the
   * source has lost, whose `size` rejects. Rejects when the source could not be asked.
   */
  loadSizes(listing: Listing, request?: LayerRequest): Awaitable<void>;
  /** Size of one file or symlink in bytes. EISDIR for a folder. */
  size(entry: LayerEntry, request?: LayerRequest): Awaitable<number>;
  /** Takes note of a file's true size, where it turns out that the source told a wrong one. */
  correctSize(entry: LayerEntry, size: number): void;
  /** A new read-only descriptor of a file's complete content; the caller closes it. EISDIR, ELOOP for a symlink. */
  open(entry: LayerEntry, request?: LayerRequest): Awaitable<number>;
  /** As `open`, for reading: content that takes long to come is handed out while it arrives. Absent: as `open`. */
  openToRead?(entry: LayerEntry, request?: LayerRequest): Awaitable<number | ArrivingContent>;
  /**
   * Target of a symlink, 1 to 4095 bytes without NUL; EIO when the blob is no such text. EINVAL for anything but a
   * symlink. It is shared: do not write to it.
   */
  readlink(entry: LayerEntry, request?: LayerRequest): Awaitable<Buffer>;
}
