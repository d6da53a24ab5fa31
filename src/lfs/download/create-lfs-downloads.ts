// Large files of a store: what is complete, what arrives, and who waits for it.
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toDiskError } from '../../util/disk-error.ts';
import { createPriorityLimiter } from '../../util/priority-limiter.ts';
import { temporaryName } from '../../util/temporary-files.ts';
import type { Awaitable } from '../../util/types.ts';
import type { ArrivingContent } from '../../util/arriving-content.ts';
import type { LfsClient } from '../client/lfs-client.ts';
import { LfsError } from '../lfs-error.ts';
import { isLfsOid, type LfsObject, type LfsOid, type WantedObject } from '../lfs-object.ts';
import { adoptFile } from './adopt-file.ts';
import { locateObject } from './download-stream.ts';
import type { LfsDownloadsOptions } from './downloads-options.ts';
import type { DownloadRequest, LfsDownloads } from './lfs-downloads.ts';
import { removeStaleArrivals } from './stale-arrivals.ts';
import { StoredObjects } from './stored-objects.ts';
import { Transfer, type TransferContext } from './transfer.ts';
import { TransferFailures } from './transfer-failures.ts';

/** Small requests for what is read right now, over all objects, for each transfer of a whole. */
const WINDOWS_PER_WHOLE = 2;
/** After the start there is more important work than tidying up. */
const STALE_DELAY_MS = 60_000;

const EMPTY_OID: LfsOid = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** The downloads into one store. Takes the same time whatever the store holds. */
export function createLfsDownloads(options: LfsDownloadsOptions): LfsDownloads {
  return new StoreDownloads(options);
}

class StoreDownloads implements LfsDownloads {
  readonly #directory: string;
  readonly #stored: StoredObjects;
  readonly #transfers = new Map<LfsOid, Transfer>();
  readonly #failures = new TransferFailures();
  readonly #context: TransferContext;
  readonly #arrivalListeners: ((object: LfsObject) => void)[] = [];
  readonly #closing = new AbortController();
  readonly #tidying: NodeJS.Timeout;
  #tidied: Promise<void> | undefined;

  constructor(options: LfsDownloadsOptions) {
    const { directory, rangesAbove, concurrency, room } = options;
    const onWarning = options.onWarning ?? (() => undefined);
    this.#directory = directory;
    this.#stored = new StoredObjects(directory, room, onWarning);
    this.#context = {
      directory,
      rangesAbove,
      stored: this.#stored,
      room,
      // One is left for what somebody waits for.
      wholes: createPriorityLimiter(concurrency, Math.max(1, concurrency - 1)),
      windows: createPriorityLimiter(concurrency * WINDOWS_PER_WHOLE),
      onWarning,
      onFailure: (object, error) => this.#failures.add(object, error),
      onComplete: (object) => {
        this.#failures.forget(object);
        for (const listener of this.#arrivalListeners) listener(object);
      },
      onEnd: (transfer) => {
        if (this.#transfers.get(transfer.object.oid) === transfer)
          this.#transfers.delete(transfer.object.oid);
      },
    };
    this.#tidying = setTimeout(() => {
      this.#tidied = removeStaleArrivals(directory, (oid) => this.#transfers.has(oid), room);
    }, STALE_DELAY_MS);
    this.#tidying.unref();
  }

  has(oid: LfsOid, size?: number): boolean {
    return this.#stored.has(checked(oid), size);
  }

  openStored({ oid, size }: LfsObject): number | undefined {
    const fd = this.#stored.openTrusted(checked(oid));
    if (fd === undefined || fstatSync(fd).size === size) return fd;
    closeSync(fd);
    return undefined;
  }

  open(
    client: LfsClient,
    object: WantedObject,
    request: DownloadRequest = {},
  ): Awaitable<number | ArrivingContent> {
    const stored = this.#stored.open(checked(object.oid), request.signal);
    if (typeof stored === 'number') return this.#requireSize(object, stored);
    const running = this.#transfers.get(object.oid);
    const isJoinable =
      running?.closedFor === undefined &&
      running?.failure === undefined &&
      running?.object.size === object.size;
    if (stored === undefined && running !== undefined && isJoinable) return running.view(client);
    return this.#openSoon(client, object, request, stored);
  }

  async fetch(
    client: LfsClient,
    object: WantedObject,
    request: DownloadRequest & { readonly onBytes?: (bytes: number) => void } = {},
  ): Promise<void> {
    const { priority = 'demand', onBytes, signal } = request;
    const stored = await this.#stored.open(checked(object.oid), signal);
    if (stored !== undefined || this.#openEmpty(object) !== undefined) {
      if (stored !== undefined) closeSync(this.#requireSize(object, stored));
      onBytes?.(object.size);
      return;
    }
    for (;;) {
      const joined = this.#join(client, object);
      if (joined instanceof Transfer) return joined.fetch(client, { priority, signal, onBytes });
      if (typeof joined === 'number') {
        closeSync(joined);
        onBytes?.(object.size);
        return;
      }
      await joined;
    }
  }

  async adopt(
    object: WantedObject,
    path: string,
    request: { readonly signal?: AbortSignal | undefined; readonly mayLink?: boolean } = {},
  ): Promise<boolean> {
    const { mayLink = false, signal } = request;
    // What may be linked is worth it also where there is a file: one of the two becomes free.
    if (!mayLink && this.has(object.oid)) return true;
    checked(object.oid);
    return adoptFile(this.#directory, this.#stored, object, path, { mayLink, signal });
  }

  remove(oids: readonly LfsOid[]): { oid: LfsOid; size: number }[] {
    return oids.flatMap((oid) => {
      const size = this.#stored.remove(checked(oid));
      return size === undefined ? [] : [{ oid, size }];
    });
  }

  stored(): AsyncIterable<{ readonly oid: LfsOid; readonly size: number }> {
    return this.#stored.list();
  }

  status(): ReturnType<LfsDownloads['status']> {
    const transfers = [...this.#transfers.values()].map((transfer) => transfer.status());
    return { transfers, failures: this.#failures.recent };
  }

  onArrived(listener: (object: LfsObject) => void): void {
    this.#arrivalListeners.push(listener);
  }

  onFailure(listener: Parameters<LfsDownloads['onFailure']>[0]): void {
    this.#failures.listen(listener);
  }

  async close(): Promise<void> {
    clearTimeout(this.#tidying);
    this.#closing.abort(new LfsError('aborted', 'the daemon is stopping'));
    await Promise.all([
      ...[...this.#transfers.values()].map((transfer) => transfer.close()),
      this.#stored.close(),
      this.#tidied,
    ]);
  }

  async #openSoon(
    client: LfsClient,
    object: WantedObject,
    { signal }: DownloadRequest,
    verifying: Awaitable<number | undefined>,
  ): Promise<number | ArrivingContent> {
    const verified = await verifying;
    if (verified !== undefined) return this.#requireSize(object, verified);
    const empty = this.#openEmpty(object);
    if (empty !== undefined) return empty;
    const standing = this.#failures.standing(object);
    // Where a transfer is under way, it begins anew after wrong bytes.
    if (standing !== undefined && !this.#transfers.has(object.oid)) throw standing;
    try {
      await locateObject(client, object, signal ?? this.#closing.signal);
    } catch (error) {
      if (signal?.aborted !== true && error instanceof LfsError && error.kind !== 'aborted') {
        this.#failures.add(object, error);
      }
      throw error;
    }
    for (;;) {
      const joined = this.#join(client, object);
      if (joined instanceof Transfer) return joined.view(client);
      if (typeof joined === 'number') return joined;
      await joined;
    }
  }

  /**
   * The transfer of an object, to be joined at once; a descriptor where it was completed meanwhile; a promise while an
   * earlier transfer ends or begins anew. Throws the failure that still stands.
   */
  #join(client: LfsClient, object: WantedObject): Transfer | number | Promise<void> {
    this.#closing.signal.throwIfAborted();
    const running = this.#transfers.get(object.oid);
    if (running?.closedFor !== undefined) return running.closedFor;
    // Two pointers do not agree about the size: the outcome tells which of them is right.
    if (running !== undefined && running.object.size !== object.size) return running.ended;
    const failure = running === undefined ? this.#failures.standing(object) : running.failure;
    if (failure !== undefined) throw failure;
    if (running !== undefined) return running;
    const stored = this.#stored.openTrusted(object.oid);
    if (stored !== undefined) return this.#requireSize(object, stored);
    const transfer = new Transfer(this.#context, client, object);
    this.#transfers.set(object.oid, transfer);
    return transfer;
  }

  /** Refuses, and closes, a stored object that has another size than the pointer says. */
  #requireSize(object: WantedObject, fd: number): number {
    const { size } = fstatSync(fd);
    if (size === object.size) return fd;
    closeSync(fd);
    const error = new LfsError(
      'invalid',
      `${object.path}: the pointer is wrong: it says ${object.size} bytes, and ${object.oid} has ${size}; commit the file anew`,
    );
    this.#failures.add(object, error);
    throw error;
  }

  /** An object without bytes is made here. */
  #openEmpty(object: WantedObject): number | undefined {
    if (object.size !== 0) return undefined;
    if (object.oid !== EMPTY_OID) {
      throw new LfsError(
        'corrupt',
        `${object.path}: the pointer says that ${object.oid} is empty, which it is not`,
      );
    }
    const folder = join(this.#directory, 'tmp');
    const path = join(folder, temporaryName());
    try {
      mkdirSync(folder, { recursive: true });
      const fd = openSync(path, 'wx+', 0o600);
      try {
        this.#stored.publish(object.oid, fd, path);
      } catch (error) {
        closeSync(fd);
        void rm(path, { force: true });
        throw error;
      }
      return fd;
    } catch (error) {
      throw toDiskError(error, path);
    }
  }
}

/** Oids become paths. */
function checked(oid: LfsOid): LfsOid {
  if (!isLfsOid(oid)) throw new TypeError(`not an oid: ${JSON.stringify(oid)}`);
  return oid;
}
