// The transfer of one large file, shared by all who read it and all who want it as a whole.
import { setMaxListeners } from 'node:events';
import { setImmediate as giveWay } from 'node:timers/promises';
import { ErrnoError } from '../../util/errno.ts';
import type { Priority, PriorityLimiter } from '../../util/priority-limiter.ts';
import type { LfsClient } from '../client/lfs-client.ts';
import { toLfsErrno } from '../lfs-errno.ts';
import { LfsError } from '../lfs-error.ts';
import type { WantedObject } from '../lfs-object.ts';
import type { LargeFileRoom } from './downloads-options.ts';
import { findRoom, freeBytes } from './find-room.ts';
import { IncompleteObject } from './incomplete-object.ts';
import type { TransferStatus } from './lfs-downloads.ts';
import type { StoredObjects } from './stored-objects.ts';
import { SMALL_OBJECT_BYTES, TransferStreams, type WaitingRange } from './transfer-streams.ts';
import { TransferView, type ViewedTransfer } from './transfer-view.ts';

/** How long a transfer goes on when nobody reads any more. */
const GRACE_MS = 3000;
/** How long a failure stands for further attempts, so that a storm of them does not reach the server. */
export const FAILURE_STANDS_MS = 1000;
/** Downloads of an object that turn out wrong: the first, and a clean one. */
const MAX_WRONG = 2;

/** What the transfers of a store share. */
export interface TransferContext {
  readonly directory: string;
  readonly rangesAbove: number;
  readonly stored: StoredObjects;
  readonly room: LargeFileRoom | undefined;
  readonly wholes: PriorityLimiter;
  readonly windows: PriorityLimiter;
  readonly onWarning: (message: string) => void;
  /** The transfer failed. */
  readonly onFailure: (object: WantedObject, error: Error) => void;
  /** The object is complete, and verified. */
  readonly onComplete: (object: WantedObject) => void;
  /** Nothing of the transfer is left but what is on the disk. */
  readonly onEnd: (transfer: Transfer) => void;
}

/** Somebody who wants all of it. */
interface Fetcher {
  readonly client: LfsClient;
  readonly priority: Priority;
  readonly onBytes: ((bytes: number) => void) | undefined;
  readonly settle: (error?: Error) => void;
}

interface Waiter extends WaitingRange {
  readonly settle: (error?: ErrnoError) => void;
}

/**
 * From the first reader to the last. `running`: streams come and go as they are needed. `failed`: readers are left,
 * and the next read tries again. `ending`: nobody may join; wait for `closedFor`.
 */
export class Transfer implements ViewedTransfer {
  readonly object: WantedObject;
  readonly ended: Promise<void>;
  readonly #context: TransferContext;
  readonly #views = new Map<TransferView, LfsClient>();
  readonly #closedClients = new WeakSet<LfsClient>();
  readonly #fetchers = new Set<Fetcher>();
  readonly #waiters = new Set<Waiter>();
  #client: LfsClient;
  #file: IncompleteObject;
  #streams: TransferStreams;
  #state: 'running' | 'settling' | 'failed' | 'ending' = 'running';
  #failure: { readonly error: Error; readonly atMs: number } | undefined;
  #wrong = 0;
  /** What there is, is known to be wrong, and about to be thrown away. */
  #isWrong = false;
  #isComplete = false;
  /** Whether bytes were given out before their hash was known. */
  #wasServed = false;
  /** There is no room for all of it: only what is read is fetched. */
  #isTight = false;
  /** While wrong bytes are being thrown away. */
  #startingOver: Promise<void> | undefined;
  #isClosing = false;
  #grace: NodeJS.Timeout | undefined;
  #onEnded: () => void = () => undefined;

  /** Opens what there is of the object. Throws ErrnoError. */
  constructor(context: TransferContext, client: LfsClient, object: WantedObject) {
    this.#context = context;
    this.#client = client;
    this.object = object;
    this.#file = new IncompleteObject(context.directory, object, context.room);
    this.#streams = this.#makeStreams();
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    // Whoever made it joins it in the same turn; else it ends.
    this.#rest();
    if (this.#file.isComplete) void this.#complete();
  }

  get size(): number {
    return this.object.size;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Nobody can join: for good, or while it begins anew. Resolves when it is worth to look again. */
  get closedFor(): Promise<void> | undefined {
    return this.#state === 'ending' ? this.ended : this.#startingOver;
  }

  /** The failure that still stands. */
  get failure(): Error | undefined {
    const failure = this.#failure;
    return failure !== undefined && Date.now() - failure.atMs < FAILURE_STANDS_MS ? failure.error : undefined;
  }

  status(): TransferStatus {
    const { oid, path, size } = this.object;
    return { oid, path, size, bytes: this.#file.ranges.bytes, readers: this.#views.size };
  }

  /** A reader. The latest one's client is used. Throws ErrnoError. */
  view(client: LfsClient): TransferView {
    this.#client = client;
    const view = new TransferView(this, this.#file.openToRead());
    this.#views.set(view, client);
    this.#wake();
    return view;
  }

  /** Resolves when all of it is there; see LfsDownloads.fetch. */
  fetch(
    client: LfsClient,
    request: {
      readonly priority: Priority;
      readonly onBytes?: ((bytes: number) => void) | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<void> {
    this.#client = client;
    const { signal } = request;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (signal !== undefined) setMaxListeners(0, signal);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal?.removeEventListener('abort', onAbort);
        this.#fetchers.delete(fetcher);
        this.#rest();
      };
      const onAbort = (): void => {
        leave();
        reject(new LfsError('aborted', `${this.object.path}: the download was given up`));
      };
      const fetcher: Fetcher = {
        client,
        priority: request.priority,
        onBytes: request.onBytes,
        settle(error) {
          leave();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#fetchers.add(fetcher);
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      if (this.#file.ranges.bytes > 0) request.onBytes?.(this.#file.ranges.bytes);
      this.#wake();
    });
  }

  isServable(start: number, end: number): boolean {
    if (this.#isComplete) return true;
    // What comes last waits for the hash of all: nobody has read everything before that is right.
    if (this.size <= SMALL_OBJECT_BYTES || this.#isWrong || this.#file.isComplete) return false;
    if (!this.#file.ranges.has(start, end)) return false;
    this.#wasServed = true;
    return true;
  }

  ensure(start: number, end: number, windowBytes: number, signal: AbortSignal): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(toLfsErrno(this.failure));
    if (this.#isClosing)
      return Promise.reject(new ErrnoError('EIO', `${this.object.path}: the daemon is stopping`));
    setMaxListeners(0, signal);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => waiter.settle(new ErrnoError('EINTR'));
      const waiter: Waiter = {
        start,
        end,
        windowBytes,
        settle: (error) => {
          signal.removeEventListener('abort', onAbort);
          this.#waiters.delete(waiter);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake();
    });
  }

  arrivedUpTo(position: number): number {
    return this.#file.ranges.endOf(position);
  }

  readAhead(start: number, bytes: number): void {
    if (this.#state === 'running' && this.#wanted() === undefined) this.#streams.readAhead(start, bytes);
  }

  left(view: TransferView): void {
    this.#views.delete(view);
    this.#rest();
  }

  /** Ends it now; what has arrived is kept. Whoever waits is told that it was given up. */
  async close(): Promise<void> {
    if (this.#state !== 'ending') {
      this.#isClosing = true;
      this.#dismiss(new LfsError('aborted', `${this.object.path}: the daemon is stopping`));
      if (this.#state !== 'settling') void this.#end(false);
    }
    await this.ended;
  }

  #makeStreams(): TransferStreams {
    return new TransferStreams({
      source: {
        object: this.object,
        file: this.#file,
        client: () => this.#client,
        replace: (closed) => this.#replaceClient(closed),
        onBytes: (count) => this.#arrived(count),
      },
      wholes: this.#context.wholes,
      windows: this.#context.windows,
      makeFit: (signal) => this.#makeFit(signal),
      waiting: () => this.#waiters,
      onIdle: () => {
        if (this.#state === 'running') this.#streams.schedule(this.#wanted());
      },
      onError: (error) => void this.#fail(error),
    });
  }

  /** Goes on with the client of somebody who is left. */
  #replaceClient(closed: LfsClient): boolean {
    this.#closedClients.add(closed);
    if (this.#client !== closed) return true;
    const others = [...this.#views.values(), ...[...this.#fetchers].map(({ client }) => client)];
    const open = others.find((client) => !this.#closedClients.has(client));
    if (open !== undefined) this.#client = open;
    return open !== undefined;
  }

  /** Whether all of it is to be fetched, and how urgently. */
  #wanted(): Priority | undefined {
    const isRead = this.#views.size > 0;
    for (const { priority } of this.#fetchers) if (priority === 'demand' || isRead) return 'demand';
    if (this.#fetchers.size > 0) return 'prefetch';
    if (this.#wrong > 0 && !this.#isTight) return 'demand';
    const mostBytes = Math.max(this.#context.rangesAbove, SMALL_OBJECT_BYTES);
    return isRead && !this.#isTight && this.size <= mostBytes ? 'demand' : undefined;
  }

  /** Somebody wants something. */
  #wake(): void {
    clearTimeout(this.#grace);
    this.#grace = undefined;
    if (this.#state === 'failed' && this.failure === undefined) {
      this.#failure = undefined;
      this.#state = 'running';
      this.#streams = this.#makeStreams();
      if (this.#file.isComplete) return void this.#complete();
    }
    if (this.#state !== 'running') return;
    this.#streams.schedule(this.#wanted());
  }

  /** Ends after a while if nobody is left. */
  #rest(): void {
    if (this.#views.size > 0 || this.#fetchers.size > 0 || this.#grace !== undefined) return;
    if (this.#state === 'failed') return void this.#end(this.#isDiskFull());
    // The clean attempt after wrong bytes runs to its end, whoever is left.
    if (this.#state !== 'running' || (this.#wrong > 0 && !this.#isTight)) return;
    this.#grace = setTimeout(() => {
      this.#grace = undefined;
      if (this.#state === 'running' && this.#views.size + this.#fetchers.size === 0) void this.#end(false);
    }, GRACE_MS);
    this.#grace.unref();
  }

  #isDiskFull(): boolean {
    return this.#failure?.error instanceof ErrnoError && this.#failure.error.code === 'ENOSPC';
  }

  #arrived(count: number): void {
    for (const { onBytes } of this.#fetchers) onBytes?.(count);
    for (const waiter of this.#waiters) if (this.isServable(waiter.start, waiter.end)) waiter.settle();
    if (this.#file.isComplete && this.#state === 'running') void this.#complete();
  }

  /** All is there: verifies and publishes it. */
  async #complete(): Promise<void> {
    this.#state = 'settling';
    try {
      const file = this.#file;
      const { oid } = this.object;
      if ((await file.hash()) === oid) {
        this.#context.stored.publish(oid, file.fd, file.path);
        this.#isComplete = true;
        this.#context.onComplete(this.object);
        this.#succeed();
        this.#state = 'ending';
        await this.#streams.stop();
        await file.finish();
        this.#finishEnd();
        return;
      }
    } catch (error) {
      this.#state = 'running';
      return this.#fail(error as Error);
    }
    this.#startingOver = this.#startOver().finally(() => {
      this.#startingOver = undefined;
    });
    await this.#startingOver;
  }

  #succeed(): void {
    for (const waiter of this.#waiters) waiter.settle();
    for (const fetcher of this.#fetchers) fetcher.settle();
  }

  /** The bytes are wrong: discards them, and begins anew, once. */
  async #startOver(): Promise<void> {
    const { oid, path } = this.object;
    this.#wrong++;
    this.#isWrong = true;
    const error = new LfsError(
      'corrupt',
      `${path}: the bytes that the LFS server ${this.#client.url} sent are not those of ${oid}; check the server's storage`,
    );
    this.#context.onWarning(error.message);
    const isLast = this.#wrong >= MAX_WRONG;
    try {
      await this.#streams.stop();
      this.#client.forget(oid);
      if (this.#wasServed) this.#condemnViews(toLfsErrno(error));
      if (isLast) {
        await this.#file.discard();
        this.#context.onFailure(this.object, error);
        this.#dismiss(error);
        for (const view of this.#views.keys()) view.condemn(toLfsErrno(error));
        this.#state = 'ending';
        this.#finishEnd();
        return;
      }
      if (this.#wasServed) {
        // Readers keep the descriptor of the wrong file: the next attempt takes another one.
        this.#context.onFailure(this.object, error);
        this.#wasServed = false;
        await this.#file.discard();
        this.#file = new IncompleteObject(this.#context.directory, this.object, this.#context.room);
      } else await this.#file.restart();
      this.#isWrong = false;
    } catch (failure) {
      this.#isWrong = this.#file.isComplete;
      this.#state = 'running';
      return this.#fail(failure as Error);
    }
    if (this.#isClosing) return this.#end(false);
    for (const { onBytes } of this.#fetchers) onBytes?.(-this.size);
    this.#state = 'running';
    this.#streams = this.#makeStreams();
    this.#streams.schedule(this.#wanted());
  }

  #condemnViews(error: ErrnoError): void {
    for (const waiter of this.#waiters) waiter.settle(error);
    const views = [...this.#views.keys()];
    this.#views.clear();
    for (const view of views) view.condemn(error);
  }

  async #fail(error: Error): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'settling';
    // That the last mount that wanted it has ended is no failure of the file: whoever comes next begins at once.
    const isFailure = !(error instanceof LfsError && error.kind === 'aborted');
    this.#failure = { error, atMs: isFailure ? Date.now() : 0 };
    if (isFailure) this.#context.onFailure(this.object, error);
    this.#dismiss(error);
    await this.#streams.stop();
    await this.#file.unclaim();
    if (this.#isClosing) return this.#end(false);
    // Whoever came meanwhile.
    if (isFailure) this.#dismiss(error);
    this.#state = 'failed';
    // It would do nothing any more.
    clearTimeout(this.#grace);
    this.#grace = undefined;
    if (this.#fetchers.size + this.#waiters.size > 0) this.#wake();
    else this.#rest();
  }

  /** Tells everybody who waits. */
  #dismiss(error: Error): void {
    for (const waiter of this.#waiters) waiter.settle(toLfsErrno(error));
    for (const fetcher of this.#fetchers) fetcher.settle(error);
  }

  /** Stops, and keeps what there is unless it takes the room that is missing. */
  async #end(isDiscarded: boolean): Promise<void> {
    this.#state = 'ending';
    clearTimeout(this.#grace);
    await this.#streams.stop();
    await (isDiscarded ? this.#file.discard() : this.#file.close()).catch((error: unknown) =>
      this.#context.onWarning((error as Error).message),
    );
    this.#finishEnd();
  }

  #finishEnd(): void {
    clearTimeout(this.#grace);
    this.#context.onEnd(this);
    this.#onEnded();
  }

  /** Makes room for what is missing; false: only ranges are fetched then. */
  async #makeFit(signal: AbortSignal): Promise<boolean> {
    const { directory, room } = this.#context;
    const missing = this.size - this.#file.ranges.bytes;
    for (;;) {
      if (freeBytes(directory) >= missing) {
        this.#file.hashAhead();
        return true;
      }
      // In small steps: somebody may be waiting for this thread.
      if (!(await findRoom({ room, directory, bytes: missing }, signal))) break;
      await giveWay();
    }
    if (signal.aborted) return false;
    const error = new ErrnoError(
      'ENOSPC',
      `${this.object.path}: no space left for the ${missing} bytes that are missing of ${this.object.oid}; free space on the disk of ${directory}`,
    );
    // Nothing else would bring what readers wait for.
    if (this.#streams.ignoresRanges || this.size <= SMALL_OBJECT_BYTES) throw error;
    this.#isTight = true;
    if (this.#fetchers.size > 0) this.#context.onFailure(this.object, error);
    for (const fetcher of this.#fetchers) fetcher.settle(error);
    this.#rest();
    return false;
  }
}
