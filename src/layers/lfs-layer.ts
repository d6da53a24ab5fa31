// Large files in a layer: what is a pointer below reads as the file that it stands for.
import type { LfsDownloads } from '../lfs/download/lfs-downloads.ts';
import { toLfsErrno } from '../lfs/lfs-errno.ts';
import { LfsError } from '../lfs/lfs-error.ts';
import type { LfsClient } from '../lfs/client/lfs-client.ts';
import type { LfsObject, WantedObject } from '../lfs/lfs-object.ts';
import { POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../lfs/pointer.ts';
import type { PathPointer, PointerStore } from '../lfs/pointer-store.ts';
import type { ArrivingContent } from '../util/arriving-content.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { LruCache } from '../util/lru.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import { parentPath } from './depth-first.ts';
import type { Layer, LayerEntry, LayerRequest, Listing } from './layer.ts';
import { LargeFilesAhead } from './large-files-ahead.ts';
import { PointerBlobs, type BlobSource } from './pointer-blobs.ts';
import { SmudgeChoice, type SmudgeChoiceParts } from './smudge-choice.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const REMEMBERED_FOLDERS = 4096;
const REMEMBERED_PATHS = 16_384;
/** How often an object is fetched that is gone again each time it should be opened. */
const OPEN_ATTEMPTS = 3;

/** What the layer is made of. */
export interface LfsLayerParts extends SmudgeChoiceParts {
  readonly objects: BlobSource;
  readonly pointers: PointerStore;
  readonly downloads: LfsDownloads;
  /** The LFS server; looked for when it is needed for the first time. Rejects with LfsError. */
  readonly client: (signal?: AbortSignal) => Promise<LfsClient>;
  /** Called with the pointer of a file that is opened, once for each path. Paths are the layer's. */
  readonly onOpened?: (path: string, pointer: PathPointer) => void;
  /** Called when a large file could not be opened; path in the monorepo, as in messages. */
  readonly onFailure?: (object: WantedObject, error: Error) => void;
}

/** A layer in which pointers read as large files. Errors beyond those of a layer: see lfs/lfs-errno.ts. */
export interface LfsLayer extends Layer {
  /** The large file that an entry reads as, `none` for all others; undefined: not known without waiting. */
  knownObject(entry: LayerEntry): LfsObject | 'none' | undefined;
  /** The same, waiting for attributes and pointer where that is needed. */
  object(entry: LayerEntry, request?: LayerRequest): Awaitable<LfsObject | 'none'>;
  /** Ends what is fetched ahead. */
  close(): void;
}

/**
 * Puts large files over a layer, whose entries are its entries. Whether a small file is a pointer is known from its blob;
 * until attributes and blob are known, its size is not, so that a pointer never shows by mistake.
 */
export function createLfsLayer(inner: Layer, parts: LfsLayerParts): LfsLayer {
  return new SmudgingLayer(inner, parts);
}

class SmudgingLayer implements LfsLayer {
  readonly root: LayerEntry;
  readonly time: number;
  readonly #inner: Layer;
  readonly #parts: LfsLayerParts;
  readonly #choice: SmudgeChoice;
  readonly #blobs: PointerBlobs;
  readonly #ahead: LargeFilesAhead;
  /** Folders whose pointers are all known, with the rules by which they are. */
  readonly #settled = new LruCache<string, object>(REMEMBERED_FOLDERS);
  readonly #opened = new LruCache<string, true>(REMEMBERED_PATHS);

  constructor(inner: Layer, parts: LfsLayerParts) {
    this.#inner = inner;
    this.#parts = parts;
    this.#choice = new SmudgeChoice(parts);
    this.#blobs = new PointerBlobs(parts.objects, parts.pointers);
    this.#ahead = new LargeFilesAhead({
      inner,
      downloads: parts.downloads,
      client: parts.client,
      wanted: (entry) => {
        const object = this.knownObject(entry);
        return object === undefined || object === 'none' ? undefined : this.#wanted(entry, object);
      },
    });
    this.root = inner.root;
    this.time = inner.time;
  }

  list(directory: LayerEntry, request?: LayerRequest): Awaitable<Listing> {
    return this.#inner.list(directory, request);
  }

  resolve(path: string, request?: LayerRequest): Awaitable<LayerEntry | undefined> {
    return this.#inner.resolve(path, request);
  }

  readlink(entry: LayerEntry, request?: LayerRequest): Awaitable<Buffer> {
    return this.#inner.readlink(entry, request);
  }

  knownSize(entry: LayerEntry): number | undefined {
    const size = this.#inner.knownSize(entry);
    if (size === undefined || size < POINTER_MIN_BYTES || size > POINTER_MAX_BYTES) return size;
    const object = this.#objectOfSmall(entry);
    return object === 'none' ? size : object?.size;
  }

  knownObject(entry: LayerEntry): LfsObject | 'none' | undefined {
    const size = this.#inner.knownSize(entry);
    if (size === undefined) return isFile(entry) ? undefined : 'none';
    return isPointerSize(size) ? this.#objectOfSmall(entry) : 'none';
  }

  object(entry: LayerEntry, request?: LayerRequest): Awaitable<LfsObject | 'none'> {
    if (!isFile(entry)) return 'none';
    const known = this.knownObject(entry);
    if (known !== undefined) return known;
    return chain(this.#inner.size(entry, request), (size) =>
      isPointerSize(size) ? this.#learnObject(entry, request) : 'none',
    );
  }

  size(entry: LayerEntry, request?: LayerRequest): Awaitable<number> {
    return chain(this.#inner.size(entry, request), (size) => {
      if (!isPointerSize(size) || !isFile(entry)) return size;
      return chain(this.#learnObject(entry, request), (object) => (object === 'none' ? size : object.size));
    });
  }

  loadSizes(listing: Listing, request?: LayerRequest): Awaitable<void> {
    const loading = this.#inner.loadSizes(listing, request);
    return loading instanceof Promise
      ? loading.then(() => this.#learnFolder(listing, request))
      : this.#learnFolder(listing, request);
  }

  correctSize(entry: LayerEntry, size: number): void {
    // A large file's size is what its pointer says; what the server told was the pointer's.
    if (this.knownObject(entry) === 'none') this.#inner.correctSize(entry, size);
  }

  open(entry: LayerEntry, request?: LayerRequest): Awaitable<number> {
    return chain(this.object(entry, request), (object) => {
      if (object === 'none') return this.#inner.open(entry, request);
      return this.#openStored(entry, object) ?? this.#fetch(entry, object, request);
    });
  }

  openToRead(entry: LayerEntry, request?: LayerRequest): Awaitable<number | ArrivingContent> {
    return chain(this.object(entry, request), (object) => {
      if (object === 'none') return this.#inner.open(entry, request);
      return this.#openStored(entry, object) ?? this.#openArriving(entry, object, request);
    });
  }

  close(): void {
    this.#ahead.close();
  }

  #objectOfSmall(entry: LayerEntry): LfsObject | 'none' | undefined {
    if (!isFile(entry)) return 'none';
    const isWanted = this.#choice.known(entry.path);
    if (isWanted !== true) return isWanted === false ? 'none' : undefined;
    return this.#blobs.known(entry.id);
  }

  #learnObject(entry: LayerEntry, request: LayerRequest | undefined): Awaitable<LfsObject | 'none'> {
    return chain(this.#choice.learn(entry.path, request), (isWanted) =>
      isWanted ? this.#blobs.learn(entry.id, request) : 'none',
    );
  }

  /** Learns which files of a folder are large; what cannot be learned now is left to whoever asks for that file. */
  #learnFolder(listing: Listing, request: LayerRequest | undefined): Awaitable<void> {
    if (listing.length === 0) return undefined;
    const folder = parentPath(listing.at(0).path);
    const known = this.#choice.rules(folder);
    if (known !== undefined && this.#settled.get(folder) === known) return undefined;
    const small = this.#smallFiles(listing);
    if (small.length === 0 && known === undefined) return undefined;
    try {
      const learning = this.#learnSmall(folder, small, request);
      return learning instanceof Promise ? learning.catch(() => undefined) : undefined;
    } catch {
      return undefined;
    }
  }

  #learnSmall(
    folder: string,
    small: readonly (readonly [LayerEntry, number])[],
    request: LayerRequest | undefined,
  ): Awaitable<void> {
    let rules: Awaitable<object>;
    const learned = chain(this.#choice.learnRules(folder, request), (found) => {
      rules = found;
      const sizes = new Map<ObjectId, number>();
      if (!found.isEmpty) {
        for (const [entry, size] of small) {
          if (this.#choice.decide(found, folder, entry.name)) sizes.set(entry.id, size);
        }
      }
      return this.#blobs.learnAll(sizes, request);
    });
    return chain(learned, (areAllKnown) => {
      if (areAllKnown) this.#settled.set(folder, rules);
    });
  }

  #smallFiles(listing: Listing): (readonly [LayerEntry, number])[] {
    const found: (readonly [LayerEntry, number])[] = [];
    for (let index = 0; index < listing.length; index++) {
      if ((listing.modeAt(index) & S_IFMT) !== S_IFREG) continue;
      const entry = listing.at(index);
      const size = this.#inner.knownSize(entry);
      if (size !== undefined && isPointerSize(size)) found.push([entry, size]);
    }
    return found;
  }

  /** A descriptor of a large file that is complete. */
  #openStored(entry: LayerEntry, object: LfsObject): number | undefined {
    this.#note(entry, object);
    const fd = this.#parts.downloads.openStored(object);
    this.#ahead.opened(entry, object, fd === undefined);
    return fd;
  }

  async #openArriving(
    entry: LayerEntry,
    object: LfsObject,
    request: LayerRequest | undefined,
  ): Promise<number | ArrivingContent> {
    const wanted = this.#wanted(entry, object);
    try {
      const client = await this.#parts.client(request?.signal);
      return await this.#parts.downloads.open(client, wanted, downloadRequest(request));
    } catch (error) {
      throw this.#failed(wanted, error);
    }
  }

  async #fetch(entry: LayerEntry, object: LfsObject, request: LayerRequest | undefined): Promise<number> {
    const wanted = this.#wanted(entry, object);
    const { downloads } = this.#parts;
    try {
      const client = await this.#parts.client(request?.signal);
      for (let attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        await downloads.fetch(client, wanted, downloadRequest(request));
        const fd = downloads.openStored(object);
        if (fd !== undefined) return fd;
      }
      throw new ErrnoError(
        'EIO',
        'it vanishes from the local store as soon as it is fetched; check the disk',
      );
    } catch (error) {
      throw this.#failed(wanted, error);
    }
  }

  #failed(wanted: WantedObject, error: unknown): ErrnoError {
    const { errno, message } = toLfsErrno(error);
    if (error instanceof LfsError && error.kind === 'aborted')
      return new ErrnoError(errno, message, { cause: error });
    this.#parts.onFailure?.(wanted, error as Error);
    return new ErrnoError(errno, `${wanted.path} (large file ${wanted.oid}): ${message}`, { cause: error });
  }

  #wanted(entry: LayerEntry, { oid, size }: LfsObject): WantedObject {
    const { rootPath } = this.#parts;
    const path = rootPath === '' ? entry.path : `${rootPath}/${entry.path}`;
    return { oid, size, path: Buffer.from(path, 'latin1').toString('utf8') };
  }

  #note(entry: LayerEntry, { oid, size }: LfsObject): void {
    const { onOpened } = this.#parts;
    const { path } = entry;
    if (onOpened === undefined || this.#opened.get(path) !== undefined) return;
    this.#opened.set(path, true);
    onOpened(path, { oid, size, blob: entry.id });
  }
}

function downloadRequest(request: LayerRequest | undefined): {
  signal: AbortSignal | undefined;
  priority: 'demand' | 'prefetch';
} {
  return { signal: request?.signal, priority: request?.priority ?? 'demand' };
}

function isPointerSize(size: number): boolean {
  return size >= POINTER_MIN_BYTES && size <= POINTER_MAX_BYTES;
}

function isFile(entry: LayerEntry): boolean {
  return (entry.mode & S_IFMT) === S_IFREG;
}
