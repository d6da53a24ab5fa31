// Fetches many blobs ahead of need, and tells who needs one of them at once whether to wait for it.
import type { BlobSink, Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import { orTimeout } from '../util/or-timeout.ts';
import type { ObjectId } from '../util/types.ts';
import type { BlobWriter } from './blob-writer.ts';
import type { BlobsAheadRequest } from './object-source.ts';
import type { ObjectStore } from './object-store.ts';
import type { PrefetchRoom } from './prefetch-room.ts';

/** How long nothing of a blob may arrive before somebody who needs it fetches it alone. */
const PATIENCE_MS = 500;

/** What became of a prefetch. */
export interface PrefetchResult {
  /** Blobs that were fetched. */
  readonly fetched: number;
  /** Blobs that needed no fetching: in the store already, or on their way for somebody else. */
  readonly skipped: number;
  /** Blobs that were not asked for: the store's budget has no room for what nobody needs yet. */
  readonly leftOut: number;
  /** Blobs that could not be fetched, and why. */
  readonly failed: ReadonlyMap<ObjectId, Error>;
}

/** Follows a prefetch. */
export interface PrefetchObserver {
  /** Bytes of content arrived; fewer than 0 when some have to come again. */
  readonly onBytes?: (bytes: number) => void;
  /** A blob was stored. */
  readonly onBlob?: (id: ObjectId, size: number) => void;
}

/** A blob that is arriving. */
interface Arrival {
  readonly writer: BlobWriter;
  /** Resolves to whether it was published. */
  readonly ended: Promise<boolean>;
  readonly end: (isPublished: boolean) => void;
  /** When bytes last came, in milliseconds of performance.now(). */
  lastProgress: number;
}

/** Prefetching over `Upstream.fetchBlobs`. */
export class BlobPrefetch {
  readonly #store: ObjectStore;
  readonly #upstream: Upstream;
  readonly #room: PrefetchRoom;
  readonly #onFetched: (size: number) => void;
  /** Asked for and not yet ended; the value is undefined until the first byte arrives. */
  readonly #pending = new Map<ObjectId, Arrival | undefined>();

  constructor(store: ObjectStore, upstream: Upstream, room: PrefetchRoom, onFetched: (size: number) => void) {
    this.#store = store;
    this.#upstream = upstream;
    this.#room = room;
    this.#onFetched = onFetched;
  }

  /** Fetches those blobs that are neither stored nor under way (`isUnderWay` knows of other fetches). */
  async fetch(
    ids: readonly ObjectId[],
    isUnderWay: (id: ObjectId) => boolean,
    { sizeOf, waitsForRoom = false, ...request }: BlobsAheadRequest,
    observer: PrefetchObserver = {},
  ): Promise<PrefetchResult> {
    const result = { fetched: 0, leftOut: 0, failed: new Map<ObjectId, Error>() };
    const knownSize = (id: ObjectId): number | undefined => sizeOf?.(id) ?? this.#store.size(id);
    let wanted = [...new Set(ids)];
    for (;;) {
      // Anew for each batch: meanwhile others fetch, too.
      wanted = wanted.filter((id) => !this.#pending.has(id) && !isUnderWay(id) && !this.#store.hasBlob(id));
      if (wanted.length === 0) break;
      const { ids: batch, release } = this.#room.take(wanted, knownSize);
      if (batch.length === 0) {
        if (waitsForRoom && (await this.#room.released(request.signal))) continue;
        result.leftOut = wanted.length;
        break;
      }
      try {
        await this.#fetchBatch(batch, result, request, observer);
      } finally {
        release();
      }
    }
    const { fetched, leftOut, failed } = result;
    return { ...result, skipped: ids.length - fetched - leftOut - failed.size };
  }

  async #fetchBatch(
    batch: readonly ObjectId[],
    result: { fetched: number; failed: Map<ObjectId, Error> },
    request: UpstreamRequest,
    observer: PrefetchObserver,
  ): Promise<void> {
    for (const id of batch) this.#pending.set(id, undefined);
    const unsettled = new Set(batch);
    try {
      await this.#upstream.fetchBlobs(
        batch,
        (id) => this.#sinkOf(id, observer),
        async (id, error) => {
          unsettled.delete(id);
          const failure = await this.#finish(id, error, observer);
          if (failure === undefined) result.fetched++;
          else result.failed.set(id, failure);
        },
        request,
      );
    } finally {
      // What the upstream never came to, or was in the middle of when the whole request failed.
      for (const id of unsettled) this.#drop(id);
    }
  }

  /**
   * Waits for a blob that is arriving. False when it is not, or stops arriving: whoever needs it then fetches it alone,
   * since a prefetch may be queued behind everything else. Bytes may thus arrive twice; either copy may be published.
   */
  async waitFor(id: ObjectId, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const arrival = this.#pending.get(id);
      if (arrival === undefined || signal.aborted) return false;
      const patience = arrival.lastProgress + PATIENCE_MS - performance.now();
      if (patience <= 0) return false;
      const outcome = await orTimeout(arrival.ended, patience, signal);
      if (outcome !== undefined) return outcome;
    }
  }

  #sinkOf(id: ObjectId, { onBytes }: PrefetchObserver): BlobSink {
    // A repeated transfer of the batch asks again: what the first one wrote is void.
    const previous = this.#pending.get(id);
    if (previous !== undefined) onBytes?.(-previous.writer.bytes);
    previous?.writer.abandon();
    const writer = this.#store.writeBlob(id);
    let end: (isPublished: boolean) => void = () => undefined;
    const ended = new Promise<boolean>((resolve) => {
      end = resolve;
    });
    if (previous !== undefined) void ended.then(previous.end);
    const arrival: Arrival = { writer, ended, end, lastProgress: performance.now() };
    this.#pending.set(id, arrival);
    return {
      begin: (size) => {
        onBytes?.(-writer.bytes);
        writer.begin(size);
      },
      write: (chunk) => {
        arrival.lastProgress = performance.now();
        onBytes?.(chunk.byteLength);
        return writer.write(chunk);
      },
      digest: () => writer.digest(),
    };
  }

  async #finish(
    id: ObjectId,
    error: Error | undefined,
    { onBytes, onBlob }: PrefetchObserver,
  ): Promise<Error | undefined> {
    const arrival = this.#pending.get(id);
    try {
      if (arrival === undefined) return error ?? new Error(`blob ${id} was never begun`);
      if (error !== undefined) {
        onBytes?.(-arrival.writer.bytes);
        return arrival.writer.failure ?? error;
      }
      const size = await arrival.writer.finish();
      this.#onFetched(size);
      arrival.end(true);
      onBlob?.(id, size);
      return undefined;
    } catch (failure) {
      onBytes?.(-(arrival?.writer.bytes ?? 0));
      return failure as Error;
    } finally {
      this.#drop(id);
    }
  }

  #drop(id: ObjectId): void {
    const arrival = this.#pending.get(id);
    this.#pending.delete(id);
    arrival?.writer.abandon();
    arrival?.end(false);
  }
}
