// An LFS layer over a monorepo in memory, with a store of large files that does what a test wants.
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttributeRules } from '../../../src/lfs/attributes/attribute-rules.ts';
import type { LfsClient } from '../../../src/lfs/client/lfs-client.ts';
import type { DownloadRequest, LfsDownloads } from '../../../src/lfs/download/lfs-downloads.ts';
import { LfsError } from '../../../src/lfs/lfs-error.ts';
import type { LfsObject, LfsOid, WantedObject } from '../../../src/lfs/lfs-object.ts';
import { openPointerStore } from '../../../src/lfs/pointers/open-pointer-store.ts';
import type { PathPointer, PointerStore } from '../../../src/lfs/pointer-store.ts';
import { createLfsLayer, type LfsLayer, type LfsLayerParts } from '../../../src/layers/lfs-layer.ts';
import type { Layer, LayerEntry } from '../../../src/layers/layer.ts';
import { createMonorepoLayer } from '../../../src/layers/monorepo.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { createPathFilter } from '../../../src/util/path-filter.ts';
import type { Awaitable } from '../../../src/util/types.ts';
import { lfsOid, lfsPointer } from '../../support/lfs-repository.ts';
import { MemoryUpstream, type TreeSource } from '../../support/memory-upstream.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

/** Attributes by a regular expression of names. */
export function rulesOf(isLfs: (name: string) => boolean, isEmpty = false): AttributeRules {
  const rules: AttributeRules = {
    of: (name) => ({ isLfs: isLfs(name), isLockable: false }),
    isEmpty,
    inside: () => rules,
  };
  return rules;
}

/** Files ending in .bin. */
export const BIN_RULES: AttributeRules = rulesOf((name) => name.endsWith('.bin'));

/** Large files on a server, and what of them is stored; counts what it is asked for. */
export class FakeLargeFiles {
  readonly contents: Map<LfsOid, Buffer> = new Map();
  readonly stored: Set<LfsOid> = new Set();
  readonly opened: WantedObject[] = [];
  readonly fetched: { readonly object: WantedObject; readonly priority: string | undefined }[] = [];
  readonly located: (readonly WantedObject[])[] = [];
  clients = 0;
  /** Transfers that came to an end, of whatever kind. */
  settled = 0;
  fault: LfsError | undefined;
  /** What a fetch waits for. */
  gate: Promise<void> | undefined;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder);
  }

  /** Adds a large file to the server; returns its pointer. */
  add(content: string | Buffer): string {
    const bytes = Buffer.from(content);
    const oid = lfsOid(bytes);
    this.contents.set(oid, bytes);
    return lfsPointer(oid, bytes.length);
  }

  readonly client = async (): Promise<LfsClient> => {
    this.clients++;
    const locate = async (objects: readonly WantedObject[]): Promise<Map<string, never>> => {
      this.located.push(objects);
      return new Map<string, never>();
    };
    return { locate } as unknown as LfsClient;
  };

  readonly downloads: LfsDownloads = {
    has: (oid: LfsOid) => this.stored.has(oid),
    openStored: ({ oid }: LfsObject) =>
      this.stored.has(oid) ? openSync(join(this.#folder, oid), 'r') : undefined,
    open: (_client: LfsClient, object: WantedObject) => {
      this.opened.push(object);
      return this.#bring(object.oid, undefined).then(() => openSync(join(this.#folder, object.oid), 'r'));
    },
    fetch: async (_client: LfsClient, object: WantedObject, request: DownloadRequest = {}) => {
      this.fetched.push({ object, priority: request.priority });
      await this.#bring(object.oid, request.signal);
    },
  } as unknown as LfsDownloads;

  async #bring(oid: LfsOid, signal: AbortSignal | undefined): Promise<void> {
    await this.gate;
    this.settled++;
    if (signal?.aborted === true) throw new LfsError('aborted', 'given up');
    if (this.fault !== undefined) throw this.fault;
    writeFileSync(join(this.#folder, oid), this.contents.get(oid) ?? '');
    this.stored.add(oid);
  }
}

/** The layer and its surroundings. */
export class LfsFixture implements AsyncDisposable {
  readonly upstream: MemoryUpstream = new MemoryUpstream();
  readonly files: FakeLargeFiles;
  readonly objects: LazyObjects;
  readonly pointers: PointerStore;
  readonly notes: (readonly [string, PathPointer])[] = [];
  readonly failures: { readonly object: WantedObject; readonly error: Error }[] = [];
  /** Rules of all folders. */
  rules: AttributeRules | undefined = BIN_RULES;
  /** What those who ask for unknown rules get. */
  laterRules: () => Awaitable<AttributeRules> = () => {
    this.rules = BIN_RULES;
    return this.rules;
  };
  plain!: Layer;
  readonly #folder: StoreFolder;
  readonly #store: ObjectStore;
  readonly #layers: LfsLayer[] = [];

  private constructor(folder: StoreFolder, pointers: PointerStore) {
    this.#folder = folder;
    this.pointers = pointers;
    this.#store = openObjectStore(join(folder.path, 'store'));
    this.objects = createLazyObjects({ store: this.#store, upstream: this.upstream });
    this.files = new FakeLargeFiles(join(folder.path, 'large'));
  }

  /** Makes the surroundings. */
  static async create(): Promise<LfsFixture> {
    const folder = await createStoreFolder();
    const onWarning = (message: string): void => {
      throw new Error(message);
    };
    return new LfsFixture(folder, await openPointerStore(join(folder.path, 'pointers'), { onWarning }));
  }

  /** A layer over these files. */
  layer(tree: TreeSource, parts: Partial<LfsLayerParts> = {}): LfsLayer {
    const snapshot = this.upstream.snapshot(this.upstream.add(tree));
    this.plain = createMonorepoLayer({ snapshot, objects: this.objects });
    const layer = createLfsLayer(this.plain, {
      smudge: 'attributes',
      attributes: { knownRules: () => this.rules, rules: () => this.laterRules() },
      filter: createPathFilter([], []),
      rootPath: 'models/deep',
      objects: this.objects,
      pointers: this.pointers,
      downloads: this.files.downloads,
      client: this.files.client,
      onOpened: (path, pointer) => this.notes.push([path, pointer]),
      onFailure: (object, error) => this.failures.push({ object, error }),
      ...parts,
    });
    this.#layers.push(layer);
    return layer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const layer of this.#layers) layer.close();
    await this.objects.close();
    await this.pointers.close();
    await this.#store.close();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Opens and closes a file, to read. */
export async function openAndClose(layer: Layer, entry: LayerEntry): Promise<void> {
  const opened = await layer.openToRead?.(entry);
  if (typeof opened === 'number') closeSync(opened);
  else opened?.close();
}
