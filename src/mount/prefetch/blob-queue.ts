// Fetches the contents that a prefetch finds: in batches, a few at once, and none twice.
import { closeSync, fstatSync } from 'node:fs';
import type { LazyObjects } from '../../objects/lazy-objects.ts';
import type { SubtreePack } from '../../objects/subtree-pack.ts';
import { ErrnoError } from '../../util/errno.ts';
import type { ObjectId } from '../../util/types.ts';
import { MountError } from '../mount-error.ts';
import type { PrefetchTally } from './prefetch-tally.ts';

/** Blobs of one batch. */
const BATCH_BLOBS = 1000;
/** A batch is full with these bytes, too. */
const BATCH_BYTES = 256 * 1024 * 1024;
/** Batches under way at once: more would only keep more ids in memory. */
const PARALLEL_BATCHES = 2;

/** A blob that is wanted. */
interface Wanted {
  /** Where it was found first, latin1. */
  readonly path: string;
  size: number | undefined;
  /** Files with this content that were found so far. */
  files: number;
}

/** What the queue needs. */
export interface BlobQueueOptions {
  readonly objects: LazyObjects;
  readonly tally: PrefetchTally;
  readonly dryRun: boolean;
  readonly batchesSizes: boolean;
  /** Where contents are to be had without asking the server. */
  readonly pack: () => SubtreePack | undefined;
  readonly signal: AbortSignal;
}

/** Takes blobs, and fetches them. */
export class BlobQueue {
  readonly #options: BlobQueueOptions;
  #open = new Map<ObjectId, Wanted>();
  #openBytes = 0;
  /** The batches under way. */
  readonly #running = new Map<ReadonlyMap<ObjectId, Wanted>, Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: BlobQueueOptions) {
    this.#options = options;
  }

  /** Blobs that wait for a batch to be full. */
  get waiting(): number {
    return this.#open.size;
  }

  /** Adds a blob that the store does not have. */
  add(id: ObjectId, path: string, size: number | undefined): void {
    const { tally } = this.#options;
    const known = this.#open.get(id) ?? [...this.#running.keys()].find((batch) => batch.has(id))?.get(id);
    if (known !== undefined) {
      known.files++;
      return;
    }
    this.#open.set(id, { path, size, files: 1 });
    this.#openBytes += size ?? 0;
    if (size === undefined) tally.unsized++;
    else tally.totalBytes += size;
  }

  /** Starts what is enough for a batch, and waits until there is room for more. Rejects when the work has to end. */
  async proceed(): Promise<void> {
    if (this.#open.size >= BATCH_BLOBS || this.#openBytes >= BATCH_BYTES) await this.#start();
    this.#throwFailure();
  }

  /** Fetches what is left, and waits for all. */
  async finish(): Promise<void> {
    if (this.#open.size > 0) await this.#start();
    await Promise.all(this.#running.values());
    this.#throwFailure();
  }

  /** Waits for what is under way, however it ends: afterwards nothing runs. */
  async settle(): Promise<void> {
    this.#open.clear();
    await Promise.all(this.#running.values());
  }

  async #start(): Promise<void> {
    while (this.#running.size >= PARALLEL_BATCHES) await Promise.race(this.#running.values());
    if (this.#failure !== undefined) return;
    const batch = this.#open;
    this.#open = new Map();
    this.#openBytes = 0;
    const run = this.#fetch(batch)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => void this.#running.delete(batch));
    this.#running.set(batch, run);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#options.signal.throwIfAborted();
  }

  async #fetch(batch: ReadonlyMap<ObjectId, Wanted>): Promise<void> {
    await this.#learnSizes(batch);
    if (this.#options.dryRun) return;
    const rest = await this.#takeFromPack(batch);
    if (rest.length > 0) await this.#fetchRest(batch, rest);
  }

  /** Takes what the pack has; the others. */
  async #takeFromPack(batch: ReadonlyMap<ObjectId, Wanted>): Promise<ObjectId[]> {
    const { objects, tally, signal, pack } = this.#options;
    const waiting = [...batch.keys()];
    const fromPack = pack();
    if (fromPack === undefined) return waiting;
    const taken = new Set<ObjectId>();
    const onTaken = (id: ObjectId, size: number): void => {
      taken.add(id);
      tally.bytes += size;
      this.#arrived(batch, id, size);
    };
    while (waiting.length > 0) {
      const { ids, release } = objects.room.take(waiting, (id) => batch.get(id)?.size);
      try {
        await fromPack.takeBlobs(ids, onTaken, signal);
      } finally {
        release();
      }
      if (ids.length > 0 || (await objects.room.released(signal))) continue;
      signal.throwIfAborted();
      throw storeFull();
    }
    return [...batch.keys()].filter((id) => !taken.has(id));
  }

  async #fetchRest(batch: ReadonlyMap<ObjectId, Wanted>, rest: readonly ObjectId[]): Promise<void> {
    const { objects, tally, signal } = this.#options;
    const onBytes = (bytes: number): void => {
      tally.bytes += bytes;
      tally.changed();
    };
    const { failed, leftOut } = await objects.prefetchBlobs(
      rest,
      { signal, priority: 'prefetch', sizeOf: (id) => batch.get(id)?.size, waitsForRoom: true },
      { onBytes, onBlob: (id, size) => this.#arrived(batch, id, size) },
    );
    for (const [id, error] of failed) this.#failed(batch.get(id) as Wanted, error);
    if (leftOut > 0) {
      signal.throwIfAborted();
      throw storeFull();
    }
    // On its way for somebody else, or here by now.
    for (const id of rest) {
      const wanted = batch.get(id) as Wanted;
      if (wanted.files > 0) await this.#join(batch, id, wanted);
    }
  }

  async #join(batch: ReadonlyMap<ObjectId, Wanted>, id: ObjectId, wanted: Wanted): Promise<void> {
    const { objects, signal } = this.#options;
    try {
      const fd = await objects.openBlob(id, { signal, priority: 'prefetch' });
      const { size } = fstatSync(fd);
      closeSync(fd);
      this.#arrived(batch, id, size);
    } catch (error) {
      signal.throwIfAborted();
      this.#failed(wanted, error as Error);
    }
  }

  #failed(wanted: Wanted, error: Error): void {
    // A disk that is full, or broken, fails the rest as well.
    if (error instanceof ErrnoError) throw error;
    const { tally } = this.#options;
    if (wanted.size === undefined) tally.unsized--;
    else tally.totalBytes -= wanted.size;
    tally.fail(wanted.path, error, wanted.files);
    wanted.files = 0;
  }

  /** Files of the same content that are found later are in the store then. */
  #arrived(batch: ReadonlyMap<ObjectId, Wanted>, id: ObjectId, size: number): void {
    const { tally } = this.#options;
    const wanted = batch.get(id);
    if (wanted === undefined || wanted.files === 0) return;
    tally.fetched += wanted.files;
    wanted.files = 0;
    if (wanted.size === undefined) {
      tally.unsized--;
      tally.totalBytes += size;
    } else if (wanted.size !== size) {
      tally.totalBytes += size - wanted.size;
    }
    tally.changed();
  }

  /** For the totals: what the trees did not tell, and the server tells in one request. */
  async #learnSizes(batch: ReadonlyMap<ObjectId, Wanted>): Promise<void> {
    const { objects, tally, batchesSizes, signal } = this.#options;
    const unsized = [...batch].filter(([, { size }]) => size === undefined);
    if (unsized.length === 0) return;
    const ids = unsized.map(([id]) => id);
    if (batchesSizes) await objects.loadSizes(ids, { signal, priority: 'prefetch' });
    objects.eachKnownSize(ids, (index, size) => {
      const [, wanted] = unsized[index] as (typeof unsized)[number];
      if (wanted.size !== undefined) return;
      wanted.size = size;
      tally.unsized--;
      tally.totalBytes += size;
    });
    tally.changed();
  }
}

function storeFull(): MountError {
  return new MountError(
    'internal',
    'the local store has no room for more that is fetched ahead: what was used lately would have to go; ' +
      'prefetch less, or raise store_limit, or lower store_keep_free',
  );
}
