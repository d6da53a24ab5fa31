// The local store: blobs in files, trees and sizes in SQLite, shared by all mounts, processes and later runs.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SizedTree } from '../git/sized-tree.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { hashObject } from '../util/git-hash.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import { BlobFiles } from './blob-files.ts';
import type { BlobWriter } from './blob-writer.ts';
import { type DiskBudget, NO_BUDGET } from './disk-budget.ts';
import type { Removed } from './evictor.ts';
import { MetadataDb } from './metadata-db.ts';
import { ProtectedBlobs } from './protected-blobs.ts';
import { toStoreError } from './store-error.ts';
import { type StoreStatus, StoreUsage } from './store-usage.ts';
import { arrivingId, storedFilePath } from './stored-file.ts';
import { removeLeftovers, temporaryName } from '../util/temporary-files.ts';

const BUSY_TIMEOUT_MS = 2000;
const LEFTOVERS_DELAY_MS = 30_000;

/** Options of openObjectStore. */
export interface ObjectStoreOptions {
  /** Called with what the user should know and the store got over by itself. */
  readonly onWarning?: (message: string) => void;
  /** How long to wait for another process's lock, in milliseconds. Default 2000. */
  readonly busyTimeoutMs?: number;
  /** How much disk it may take. Default: no limit. */
  readonly budget?: DiskBudget;
}

/** The bookkeeping of large files, which others keep in the store's folder `lfs`: they count against its limit. */
export interface LargeFileUsage {
  /** A complete one was stored that takes so many bytes; what was noted of its arrival is no more. */
  stored(oid: string, bytes: number): void;
  /** A complete one was opened. */
  used(oid: string): void;
  /** So many bytes of it have arrived by now; 0: they were thrown away. */
  arrived(oid: string, bytes: number): void;
  /** Complete ones were removed. */
  removed(oids: readonly string[]): void;
  /** The disk is full: removes something. Whether it is worth another attempt. */
  makeRoom(): boolean;
}

/**
 * The store. Several processes may have it open at once. Everything that it returns was verified against its id; what
 * is damaged counts as absent. Failures of the disk are ErrnoError (ENOSPC when it is full).
 */
export interface ObjectStore extends AsyncDisposable {
  /** Its folder. */
  readonly directory: string;
  /** A tree, with the sizes of its blobs where they are stored with it. */
  tree(id: ObjectId): SizedTree | undefined;
  /** Whether a tree is stored; reading it may still find it damaged. */
  hasTree(id: ObjectId): boolean;
  /** Keeps trees, in one transaction. Throws UpstreamError of kind `corrupt` when a payload does not hash to its id. */
  putTrees(trees: readonly (readonly [ObjectId, SizedTree])[]): void;
  /** Keeps packed sizes (git/sized-tree.ts) with a tree that is stored. */
  putTreeSizes(id: ObjectId, sizes: Buffer): void;
  /** True sizes of blobs of which the server told wrong ones, live. */
  readonly correctedSizes: ReadonlyMap<ObjectId, number>;
  /** Notes such a size. */
  correctSize(id: ObjectId, size: number): void;
  /** Size of a blob in bytes. */
  size(id: ObjectId): number | undefined;
  /** Calls `each` with the index and the size of those blobs whose size is known. */
  eachSize(ids: readonly ObjectId[], each: (index: number, size: number) => void): void;
  /** Keeps sizes that a server told, in one transaction; that of a blob which was stored here stays. */
  putSizes(sizes: Iterable<readonly [ObjectId, number]>): void;
  /** A new read-only descriptor of a blob, closed by the caller. A promise only while a large file is verified. */
  openBlob(id: ObjectId): Awaitable<number | undefined>;
  /** Whether there is a file for the blob; opening it may still find it damaged. */
  hasBlob(id: ObjectId): boolean;
  /** Starts to write a blob; `finish` publishes it. */
  writeBlob(id: ObjectId): BlobWriter;
  /** Watches the disk, and keeps the store within its budget until it is closed. For a process that stays. */
  keepWithinBudget(): void;
  /** Removes some blobs now, for somebody who found the disk full. Whether it is worth another attempt. */
  makeRoom(): boolean;
  /** Bytes that may be fetched ahead of need; 0 when that would displace what is in use. */
  prefetchRoom(): number;
  readonly largeFiles: LargeFileUsage;
  /**
   * Keeps a stored blob, or large file, from being removed: it exists nowhere else. False when it is not stored.
   * Survives a crash.
   */
  protectBlob(id: ObjectId): boolean;
  /** Ends the protection. */
  releaseBlob(id: ObjectId): void;
  /** What the store takes, and may take. */
  status(): StoreStatus;
  /** Removes what was not used for longest until the store takes `target` bytes, or what is left must stay. */
  prune(target: number): Promise<Removed>;
  /** A path for a temporary file or folder, which is removed when this process dies and leaves it. */
  temporaryPath(): string;
  /** Removes temporary files that dead processes left; also happens by itself some time after opening. */
  removeLeftovers(): Promise<number>;
  /** Closes the database. Descriptors that were given out stay good. May be called again. */
  close(): Promise<void>;
}

/** A start is not the time to look through a folder. */
function removeLeftoversLater(temporary: string, onWarning: (message: string) => void): NodeJS.Timeout {
  const remove = (): void => {
    removeLeftovers(temporary).catch((error: unknown) => {
      onWarning(`cannot remove old temporary files in ${temporary}: ${(error as Error).message}`);
    });
  };
  return setTimeout(remove, LEFTOVERS_DELAY_MS).unref();
}

function largeFileRoom(usage: StoreUsage): ObjectStore['largeFiles'] {
  return {
    stored(oid, bytes) {
      usage.arrived(arrivingId(oid), 0);
      usage.added(oid, bytes);
    },
    used: (oid) => usage.touch(oid),
    arrived: (oid, bytes) => usage.arrived(arrivingId(oid), bytes),
    removed: (oids) => oids.forEach((oid) => usage.removed(oid)),
    makeRoom: () => usage.makeRoom(),
  };
}

function makeFolders(directory: string, folders: readonly string[]): void {
  try {
    for (const folder of folders) mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw toStoreError(error, directory);
  }
}

function requireTree(id: ObjectId, payload: Buffer): void {
  const hashed = hashObject('tree', payload);
  if (hashed === id) return;
  throw new UpstreamError(
    'corrupt',
    `tree ${id}: the ${payload.length} bytes that arrived hash to ${hashed}; check the server's storage`,
  );
}

/**
 * Opens the store in a folder, which is made when missing. Takes the same time whatever the store holds.
 *
 * @throws StoreError when it cannot be opened, or a newer version made it.
 */
export function openObjectStore(directory: string, options: ObjectStoreOptions = {}): ObjectStore {
  const onWarning = options.onWarning ?? (() => undefined);
  const objects = join(directory, 'objects');
  const temporary = join(directory, 'tmp');
  makeFolders(directory, [objects, temporary]);
  const busyTimeoutMs = options.busyTimeoutMs ?? BUSY_TIMEOUT_MS;
  const usage = new StoreUsage({
    directory,
    budget: options.budget ?? NO_BUDGET,
    busyTimeoutMs,
    onWarning,
    shrinkMetadata: (maxBytes) => metadata.shrink(maxBytes),
  });
  const makeRoom = (): boolean => usage.makeRoom();
  const rules = { onWarning, busyTimeoutMs, makeRoom };
  const metadata = new MetadataDb(join(directory, 'metadata.db'), rules);
  const correctedSizes = metadata.corrections();
  const blobs = new BlobFiles(objects, temporary, {
    onWarning,
    makeRoom,
    onPublished: (id, size) => {
      usage.added(id, size);
      // The file tells its size itself; only what contradicts it must go.
      const told = metadata.hasSizes ? metadata.size(id) : undefined;
      if (told !== undefined && told !== size) metadata.putSizes([[id, size]], 'counted');
    },
  });
  const guarded = new ProtectedBlobs(directory);
  const leftovers = removeLeftoversLater(temporary, onWarning);

  const close = async (): Promise<void> => {
    clearTimeout(leftovers);
    await usage.close();
    metadata.close();
  };
  const used = (id: ObjectId, fd: number | undefined): number | undefined => {
    if (fd !== undefined) usage.touch(id);
    return fd;
  };
  return {
    directory,
    tree: (id) => metadata.tree(id),
    hasTree: (id) => metadata.hasTree(id),
    putTrees(trees) {
      for (const [id, { payload }] of trees) requireTree(id, payload);
      metadata.putTrees(trees);
    },
    putTreeSizes: (id, sizes) => metadata.putTreeSizes(id, sizes),
    correctedSizes,
    correctSize(id, size) {
      correctedSizes.set(id, size);
      metadata.correctSize(id, size);
    },
    size: (id) => metadata.size(id) ?? blobs.size(id),
    eachSize(ids, each) {
      metadata.eachSize(ids, (index, known) => {
        const size = known ?? blobs.size(ids[index] ?? '');
        if (size !== undefined) each(index, size);
      });
    },
    putSizes: (sizes) => metadata.putSizes(sizes, 'told'),
    openBlob(id) {
      const fd = blobs.open(id);
      return fd instanceof Promise ? fd.then((opened) => used(id, opened)) : used(id, fd);
    },
    hasBlob: (id) => blobs.has(id),
    writeBlob: (id) => blobs.write(id),
    keepWithinBudget: () => usage.watch(),
    makeRoom,
    prefetchRoom: () => usage.prefetchRoom(),
    largeFiles: largeFileRoom(usage),
    protectBlob: (id) => guarded.protect(id, storedFilePath(directory, id)),
    releaseBlob: (id) => guarded.release(id),
    status: () => usage.status(),
    prune: (target) => usage.prune(target),
    temporaryPath: () => join(temporary, temporaryName()),
    removeLeftovers: () => removeLeftovers(temporary),
    close,
    [Symbol.asyncDispose]: close,
  };
}
