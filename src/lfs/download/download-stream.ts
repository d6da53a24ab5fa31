// One stretch of a large file on its way: one request after the other until all of it is there.
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../../util/backoff.ts';
import type { DownloadBody, LfsClient, TransferAction } from '../client/lfs-client.ts';
import { LfsError, type LfsErrorKind } from '../lfs-error.ts';
import type { WantedObject } from '../lfs-object.ts';
import type { IncompleteObject } from './incomplete-object.ts';
import type { Range } from './range-map.ts';

/** Attempts in a row that bring nothing. */
const MAX_TRIES = 8;
/** The same once something has come: a server that is started again takes its time. Half a minute. */
const MAX_TRIES_UNDER_WAY = 16;
/** The same where the server says that there is no such object, or no right to it: its action may have expired. */
const MAX_DENIED_TRIES = 2;
const FIRST_BACKOFF_MS = 100;
/** A server that wants a longer pause is taken for one that is away. */
const MAX_RETRY_AFTER_MS = 60_000;
/** What may wait to be written, and is then written at once: hashing it takes about a millisecond. */
const QUEUE_BYTES = 512 * 1024;
/** So much that is there already is read and dropped; beyond, another request is cheaper. */
const SKIP_BYTES = 4 * 1024 * 1024;
/** What counts as near, at least, and at most. */
const NEAR_LEAST_BYTES = 4 * 1024 * 1024;
const NEAR_MOST_BYTES = 32 * 1024 * 1024;
/** What comes within this time need not be asked for. */
const NEAR_MS = 200;

const DENIED: ReadonlySet<LfsErrorKind> = new Set(['missing', 'refused', 'invalid']);
const PASSING: ReadonlySet<LfsErrorKind> = new Set(['unreachable', 'timeout', 'server']);

/** What a stream needs of the transfer that it belongs to. */
export interface StreamSource {
  readonly object: WantedObject;
  /** That of the latest reader. */
  readonly client: () => LfsClient;
  /** A client was closed, with the mount that it was of; whether `client` gives another one by now. */
  readonly replace: (closed: LfsClient) => boolean;
  readonly file: IncompleteObject;
  /** Bytes were written. */
  readonly onBytes: (count: number) => void;
}

/** Asks how an object is downloaded. Throws LfsError. */
export async function locateObject(
  client: LfsClient,
  object: WantedObject,
  signal: AbortSignal | undefined,
): Promise<TransferAction> {
  const action = (await client.locate([object], { signal })).get(object.oid);
  if (action instanceof LfsError) throw action;
  if (action !== undefined) return action;
  throw new LfsError(
    'server',
    `${object.path}: the LFS server ${client.url} did not say how to download ${object.oid}`,
  );
}

/** Fetches the missing parts of a range, in order. */
export class DownloadStream {
  /** Where the next byte goes. */
  position: number;
  end: number;
  /** Whether a server that sends from the beginning, whatever it is asked for, is put up with. */
  readonly #takesAll: boolean;
  readonly #source: StreamSource;
  readonly #pause: (() => Promise<void> | undefined) | undefined;
  readonly #isTaken: ((position: number) => boolean) | undefined;
  #receivedBytes = 0;
  #queue: Uint8Array[] = [];
  #queuePosition = 0;
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #writeError: Error | undefined;
  #receivingSinceMs = 0;
  #ignoresRange = false;
  #signal: AbortSignal | undefined;

  /** Both are asked between two chunks. `isTaken`: somebody else brings what comes next, so this stream ends. */
  constructor(
    source: StreamSource,
    range: { readonly start: number; readonly end: number },
    options: {
      readonly takesAll?: boolean;
      readonly pause?: () => Promise<void> | undefined;
      readonly isTaken?: (position: number) => boolean;
    } = {},
  ) {
    this.#source = source;
    this.position = range.start;
    this.end = range.end;
    this.#takesAll = options.takesAll ?? false;
    this.#pause = options.pause;
    this.#isTaken = options.isTaken;
  }

  /** Whether the server sent from the beginning although it was asked for a range. */
  get ignoresRange(): boolean {
    return this.#ignoresRange;
  }

  /** From here on the stream brings what is not there: it has come up to `position`, but may still have to be written. */
  get bringsFrom(): number {
    return this.#queue.length > 0 ? this.#queuePosition : this.position;
  }

  /** Whether a position will have been reached soon. */
  isNear(position: number): boolean {
    if (position < this.bringsFrom || position >= this.end) return false;
    const distance = position - this.position;
    if (this.#receivedBytes === 0) return distance <= NEAR_LEAST_BYTES;
    const bytesPerMs = this.#receivedBytes / Math.max(1, Date.now() - this.#receivingSinceMs);
    return distance <= Math.min(NEAR_MOST_BYTES, Math.max(NEAR_LEAST_BYTES, bytesPerMs * NEAR_MS));
  }

  /**
   * Resolves when all of the range is there, or on its way by somebody else; also when the server ignores ranges and
   * that is not put up with. Rejects with LfsError, or ErrnoError of the disk, when it cannot be had.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { object, file } = this.#source;
    this.#signal = signal;
    const tries = { failures: 0, denied: 0 };
    for (;;) {
      const gap = file.gap(this.position, this.end);
      if (gap === undefined) return;
      this.position = gap[0];
      const before = this.#receivedBytes;
      const client = this.#source.client();
      let isLocated = false;
      try {
        const action = await locateObject(client, object, signal);
        isLocated = true;
        await this.#attempt(client, action, gap, signal);
        if (this.#ignoresRange && !this.#takesAll) return;
      } catch (error) {
        if (signal.aborted || !(error instanceof LfsError)) throw error;
        if (error.kind === 'aborted' && this.#source.replace(client)) continue;
        if (this.#receivedBytes > before) Object.assign(tries, { failures: 0, denied: 0 });
        tries.failures++;
        if (DENIED.has(error.kind)) tries.denied++;
        // What the server says of the object itself, not of an action that may have expired, is final.
        const isFinal = isLocated ? tries.denied >= MAX_DENIED_TRIES : DENIED.has(error.kind);
        const isHopeless = !PASSING.has(error.kind) && !DENIED.has(error.kind);
        if (isFinal || isHopeless || tries.failures >= this.#mostTries(error.kind)) throw error;
        if ((error.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS) throw error;
        const pauseMs = error.retryAfterMs ?? backoffMs(tries.failures, FIRST_BACKOFF_MS);
        await delay(pauseMs, undefined, { signal });
      }
    }
  }

  #mostTries(kind: LfsErrorKind): number {
    return this.#receivedBytes > 0 && kind !== 'server' ? MAX_TRIES_UNDER_WAY : MAX_TRIES;
  }

  async #attempt(
    client: LfsClient,
    action: TransferAction,
    [start, end]: Range,
    signal: AbortSignal,
  ): Promise<void> {
    const { object } = this.#source;
    let body: DownloadBody;
    try {
      const range = { start, end: end === object.size ? undefined : end - 1 };
      body = await client.download(object, action, range, { signal });
    } catch (error) {
      // Whatever it was, a new answer may name a better place.
      client.forget(object.oid);
      throw error;
    }
    try {
      await this.#receive(body, start, end, signal);
    } finally {
      body.cancel();
      await this.#written();
    }
  }

  async #receive(body: DownloadBody, start: number, end: number, signal: AbortSignal): Promise<void> {
    const { object } = this.#source;
    if (body.start > start)
      throw this.#failed('server', `sent bytes from ${body.start} on instead of ${start}`);
    if (body.start < start) {
      this.#ignoresRange = true;
      if (!this.#takesAll) return;
      this.end = object.size;
    }
    const last = body.start < start ? object.size : end;
    this.position = body.start;
    for await (const chunk of body.chunks) {
      signal.throwIfAborted();
      // More than was asked for: what it is worth, the hash will tell.
      if (this.position >= last) return;
      const taking = this.#take(chunk.subarray(0, last - this.position));
      if (taking !== undefined) await taking;
      if (!this.#ignoresRange && this.#isPassed()) return;
      if (!this.#ignoresRange && this.#isTaken?.(this.position) === true) {
        this.end = this.position;
        return;
      }
      const pausing = this.position < last ? this.#pause?.() : undefined;
      if (pausing !== undefined) await pausing;
    }
    if (this.position < last) throw this.#failed('unreachable', `ended its answer at byte ${this.position}`);
  }

  /** A promise when the disk is slower than the network. */
  #take(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#receivingSinceMs === 0) this.#receivingSinceMs = Date.now();
    if (this.#queue.length === 0) this.#queuePosition = this.position;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.position += chunk.length;
    this.#writing ??= this.#writeQueue();
    return this.#queuedBytes >= QUEUE_BYTES || this.#writeError !== undefined ? this.#written() : undefined;
  }

  /** Writes what has come while the last write was under way. */
  async #writeQueue(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const chunks = this.#queue;
        this.#queue = [];
        this.#queuedBytes = 0;
        const written = await this.#source.file.write(this.#queuePosition, chunks, this.#signal);
        this.#receivedBytes += written;
        if (written > 0) this.#source.onBytes(written);
      }
    } catch (error) {
      this.#writeError = error as Error;
    } finally {
      this.#writing = undefined;
    }
  }

  /** Resolves when everything that came is written. Rejects with ErrnoError. */
  async #written(): Promise<void> {
    await this.#writing;
    if (this.#writeError !== undefined) throw this.#writeError;
  }

  /** Whether what comes next is there for so long that another request is better. */
  #isPassed(): boolean {
    const next = this.#source.file.gap(this.position, this.end)?.[0] ?? this.end;
    return next - this.position > SKIP_BYTES;
  }

  #failed(kind: LfsErrorKind, what: string): LfsError {
    const { client, object } = this.#source;
    return new LfsError(kind, `${object.path}: the LFS server ${client().url} ${what}, of ${object.oid}`);
  }
}
