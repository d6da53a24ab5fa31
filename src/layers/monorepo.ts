// The monorepo as a layer: a pinned snapshot, whose folders and files are fetched when they are asked for.
import { closeSync } from 'node:fs';
import { MalformedTreeError } from '../git/raw-tree.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { ObjectSource } from '../objects/object-source.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { Snapshot } from '../upstream/upstream.ts';
import { ErrnoError } from '../util/errno.ts';
import { LruCache } from '../util/lru.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import type { Layer, LayerEntry, LayerRequest, Listing } from './layer.ts';
import { FileEntry, FolderEntry, MonorepoListing } from './listing.ts';
import { ReadAhead } from './read-ahead.ts';
import { isFolderMode, isSymlinkMode, TreeTable } from './tree-table.ts';
import { WalkAhead } from './walk-ahead.ts';
import { readStart } from '../util/read-start.ts';

/** Parsed trees that a layer keeps when it is given no cache; about half a million entries. */
const TREE_CACHE_BYTES = 32 * 1024 * 1024;
const TREE_OVERHEAD_BYTES = 500;
const LINK_CACHE_ENTRIES = 4096;
const SYMLINK_BYTES_MAX = 4095;

/** Parsed trees by id; layers may share one. */
export type TreeCache = LruCache<ObjectId, TreeTable>;

/** Makes a cache of parsed trees for several layers, bounded to so many bytes. */
export function createTreeCache(maxBytes: number = TREE_CACHE_BYTES): TreeCache {
  return new LruCache(maxBytes, (table) => table.byteLength + TREE_OVERHEAD_BYTES);
}

/** Parts of the monorepo layer. */
export interface MonorepoLayerOptions {
  /** What the layer shows. */
  readonly snapshot: Snapshot;
  readonly objects: ObjectSource;
  /** Default: a cache of its own. */
  readonly trees?: TreeCache;
  /** Called once for each tree with entries that cannot be shown. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Makes the layer. Nothing is fetched until it is asked for.
 *
 * Modes of historical trees become what Git checks out: 040755, 0100644, 0100755, 0120777. Entries that cannot be files
 * are left out: an empty name (which Mega writes), `.`, `..`, a slash, more than 255 bytes, a name for the second time,
 * an unknown type; and `.git`, which Git refuses in a tree, since it would choose the commands that Git runs there.
 */
export function createMonorepoLayer(options: MonorepoLayerOptions): Layer {
  return new MonorepoLayer(options);
}

class MonorepoLayer implements Layer {
  readonly root: LayerEntry;
  readonly time: number;
  readonly #snapshot: Snapshot;
  readonly #objects: ObjectSource;
  readonly #trees: TreeCache;
  readonly #readAhead: ReadAhead;
  readonly #walkAhead: WalkAhead;
  readonly #links = new LruCache<ObjectId, Buffer>(LINK_CACHE_ENTRIES);
  readonly #onWarning: (message: string) => void;
  readonly #warned = new Set<ObjectId>();
  readonly #noEntries = new TreeTable(Buffer.alloc(0));

  constructor({ snapshot, objects, trees, onWarning }: MonorepoLayerOptions) {
    this.#snapshot = snapshot;
    this.#objects = objects;
    this.#trees = trees ?? createTreeCache();
    const known = (id: ObjectId): TreeTable | undefined => this.#trees.get(id);
    const keep = (id: ObjectId, tree: SizedTree): TreeTable | undefined => this.#keep(id, tree);
    const find = (id: ObjectId): TreeTable | undefined => {
      const table = known(id);
      if (table !== undefined) return table;
      const stored = objects.storedTree(id);
      return stored === undefined ? undefined : keep(id, stored);
    };
    this.#readAhead = new ReadAhead(objects, { rootId: snapshot.tree, find });
    this.#walkAhead = new WalkAhead({ snapshot, objects, known, keep });
    this.#onWarning = onWarning ?? (() => undefined);
    this.root = new FolderEntry({
      name: '',
      mode: 0o040755,
      id: snapshot.tree,
      path: '',
      isSubmodule: false,
    });
    this.time = snapshot.time;
  }

  list(directory: LayerEntry, request?: LayerRequest): Awaitable<Listing> {
    if (!isFolderMode(directory.mode)) throw new ErrnoError('ENOTDIR');
    if (directory.isSubmodule === true) return new MonorepoListing(directory, this.#noEntries);
    const { id, path } = directory;
    const known = this.#trees.get(id);
    const isDemand = request?.priority !== 'prefetch';
    if (known !== undefined) {
      if (isDemand) this.#walkAhead.listing(path, false);
      return this.#listingAt(directory, known);
    }
    const tree = this.#objects.tree(id, { snapshot: this.#snapshot, path }, request);
    if (isDemand) this.#walkAhead.listing(path, tree instanceof Promise);
    return tree instanceof Promise
      ? tree.then((arrived) => this.#listingOf(directory, arrived))
      : this.#listingOf(directory, tree);
  }

  resolve(path: string, request?: LayerRequest): Awaitable<LayerEntry | undefined> {
    return path === '' ? this.root : this.#descend(this.root, path.split('/'), request);
  }

  knownSize(entry: LayerEntry): number | undefined {
    const corrected = this.#objects.correctedSizes;
    if (corrected.size > 0) {
      const counted = corrected.get(entry.id);
      if (counted !== undefined) return counted;
    }
    if (!(entry instanceof FileEntry)) return undefined;
    const noted = entry.size;
    if (noted !== undefined) return noted;
    const stored = this.#objects.knownSize(entry.id);
    if (stored !== undefined) entry.setSize(stored);
    return stored;
  }

  loadSizes(listing: Listing, request?: LayerRequest): Awaitable<void> {
    if (!(listing instanceof MonorepoListing)) throw new TypeError('the listing is not of this layer');
    const { table } = listing;
    const indexes: number[] = [];
    for (let index = 0; index < table.length; index++) {
      if (table.isBlob(index) && table.size(index) === undefined) indexes.push(index);
    }
    if (indexes.length === 0) return undefined;
    const ids = indexes.map((index) => table.id(index));
    const note = (): void => {
      this.#objects.eachKnownSize(ids, (nth, size) => table.setSize(indexes[nth] ?? 0, size));
      const packed = table.packSizes();
      if (packed !== undefined) this.#objects.keepTreeSizes(listing.id, packed);
    };
    const loading = this.#objects.loadSizes(ids, request);
    return loading instanceof Promise ? loading.then(note) : note();
  }

  size(entry: LayerEntry, request?: LayerRequest): Awaitable<number> {
    if (isFolderMode(entry.mode)) throw new ErrnoError('EISDIR');
    const known = this.knownSize(entry);
    if (known !== undefined) return known;
    const learned = (): number => {
      const size = this.knownSize(entry);
      if (size !== undefined) return size;
      throw new UpstreamError('not-found', `the server has lost blob ${entry.id} (${entry.path})`);
    };
    const loading = this.#objects.loadSizes([entry.id], request);
    return loading instanceof Promise ? loading.then(learned) : learned();
  }

  correctSize(entry: LayerEntry, size: number): void {
    this.#objects.correctSize(entry.id, size);
  }

  open(entry: LayerEntry, request?: LayerRequest): Awaitable<number> {
    if (isFolderMode(entry.mode)) throw new ErrnoError('EISDIR');
    if (isSymlinkMode(entry.mode)) throw new ErrnoError('ELOOP');
    const { id } = entry;
    const fd = this.#objects.openBlob(id, request);
    this.#readAhead.opened(entry, id, fd instanceof Promise);
    return fd;
  }

  readlink(entry: LayerEntry, request?: LayerRequest): Awaitable<Buffer> {
    if (!isSymlinkMode(entry.mode)) throw new ErrnoError('EINVAL');
    const known = this.#links.get(entry.id);
    if (known !== undefined) return known;
    const fd = this.#objects.openBlob(entry.id, request);
    return fd instanceof Promise
      ? fd.then((arrived) => this.#targetOf(entry, arrived))
      : this.#targetOf(entry, fd);
  }

  #listingOf(directory: LayerEntry, tree: SizedTree): Listing {
    // One that was fetched ahead may have come meanwhile.
    const known = this.#trees.get(directory.id);
    if (known !== undefined) return this.#listingAt(directory, known);
    let table: TreeTable;
    try {
      table = new TreeTable(tree.payload, tree.sizes);
    } catch (error) {
      if (!(error instanceof MalformedTreeError)) throw error;
      // Its hash is right, so fetching it again does not help; half a listing would be a lie.
      throw new ErrnoError('EIO', `${describeTree(directory)} cannot be listed: ${error.message}`, {
        cause: error,
      });
    }
    this.#trees.set(directory.id, table);
    return this.#listingAt(directory, table);
  }

  #listingAt(directory: LayerEntry, table: TreeTable): Listing {
    if (table.objections.length > 0 && !this.#warned.has(directory.id)) {
      this.#warned.add(directory.id);
      const list = table.objections.join(', ');
      this.#onWarning(
        `${describeTree(directory)} has entries that cannot be shown, and are left out: ${list}`,
      );
    }
    return new MonorepoListing(directory, table);
  }

  /** Keeps a tree that was fetched ahead; undefined when it is malformed, which whoever lists it is told. */
  #keep(id: ObjectId, { payload, sizes }: SizedTree): TreeTable | undefined {
    const known = this.#trees.get(id);
    if (known !== undefined) {
      if (sizes !== undefined) known.setSizes(sizes);
      return known;
    }
    try {
      const table = new TreeTable(payload, sizes);
      this.#trees.set(id, table);
      return table;
    } catch (error) {
      if (error instanceof MalformedTreeError) return undefined;
      throw error;
    }
  }

  /** Goes down as far as folders are known without waiting, then waits for the next one. */
  #descend(
    start: LayerEntry,
    names: readonly string[],
    request: LayerRequest | undefined,
  ): Awaitable<LayerEntry | undefined> {
    let entry: LayerEntry = start;
    for (const [depth, name] of names.entries()) {
      if (!isFolderMode(entry.mode)) return undefined;
      const listing = this.list(entry, request);
      if (listing instanceof Promise) {
        const rest = names.slice(depth + 1);
        return listing.then((arrived) => {
          const next = arrived.get(name);
          return next === undefined ? undefined : this.#descend(next, rest, request);
        });
      }
      const next = listing.get(name);
      if (next === undefined) return undefined;
      entry = next;
    }
    return entry;
  }

  #targetOf(entry: LayerEntry, fd: number): Buffer {
    let target: Buffer;
    try {
      target = Buffer.from(readStart(fd, Buffer.allocUnsafe(SYMLINK_BYTES_MAX + 1)));
    } finally {
      closeSync(fd);
    }
    if (target.length === 0 || target.length > SYMLINK_BYTES_MAX || target.includes(0)) {
      // Not EINVAL: readlink(2) means by it that the file is no symlink, which would contradict its mode.
      throw new ErrnoError('EIO', `/${entry.path}: blob ${entry.id} cannot be the target of a symlink`);
    }
    this.#links.set(entry.id, target);
    return target;
  }
}

function describeTree({ id, path }: LayerEntry): string {
  return `tree ${id} (/${path})`;
}
