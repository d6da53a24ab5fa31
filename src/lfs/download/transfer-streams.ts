// The connections of one transfer: one for the whole, and short ones for what is read elsewhere in the meantime.
import { orTimeout } from '../../util/or-timeout.ts';
import type { Priority, PriorityLimiter } from '../../util/priority-limiter.ts';
import { inTime } from '../../util/in-time.ts';
import { DownloadStream, type StreamSource } from './download-stream.ts';
import { RangeMap } from './range-map.ts';

/** Connections of one object beside that for the whole. */
const MAX_WINDOWS = 2;
/** A window where the whole comes anyway: what is in both comes twice. */
const WHOLE_WINDOW_BYTES = 2 * 1024 * 1024;
/** So much that a window is about to bring is not brought again; less is not worth another request. */
const TAKEN_BYTES = 256 * 1024;
/** How long the whole waits for a window in which somebody waits, for each of its own chunks. */
const PAUSE_MS = 500;
/** How long a stream that has all of its bytes may take to end by itself, so that its connection can be used again. */
const END_TIMEOUT_MS = 1000;
/** Objects that are served when they are complete and verified only: it takes no time. */
export const SMALL_OBJECT_BYTES: number = 1024 * 1024;

/** A read that waits, and how much should be fetched there at once. Bytes. */
export interface WaitingRange {
  readonly start: number;
  readonly end: number;
  readonly windowBytes: number;
}

/** What TransferStreams is made of. */
export interface TransferStreamsOptions {
  readonly source: StreamSource;
  /** Limits the transfers of whole objects, and the windows, over all objects. */
  readonly wholes: PriorityLimiter;
  readonly windows: PriorityLimiter;
  /** Called before the whole is fetched; whether there is room for it. */
  readonly makeFit: (signal: AbortSignal) => Promise<boolean>;
  /** Reads that wait now. */
  readonly waiting: () => Iterable<WaitingRange>;
  /** Called when a stream has ended, or may be needed. */
  readonly onIdle: () => void;
  /** Called when something cannot be had. */
  readonly onError: (error: Error) => void;
}

interface Running {
  readonly stream: DownloadStream | undefined;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

interface Main {
  readonly priority: Priority;
  readonly controller: AbortController;
  stream: DownloadStream | undefined;
  isQueued: boolean;
  done: Promise<void>;
}

/** Streams of one object, until they are stopped. */
export class TransferStreams {
  readonly #options: TransferStreamsOptions;
  readonly #windows = new Set<Running & { readonly stream: DownloadStream }>();
  /** All that may still write, also what was given up. */
  readonly #running = new Set<Promise<void>>();
  #main: Main | undefined;
  #isStopped = false;
  #ignoresRanges = false;

  constructor(options: TransferStreamsOptions) {
    this.#options = options;
  }

  /** Whether the server sends everything from the beginning: then what is read elsewhere has to wait. */
  get ignoresRanges(): boolean {
    return this.#ignoresRanges;
  }

  /** Sees to it that every read that waits is served, and that the whole comes if it is wanted. */
  schedule(whole: Priority | undefined): void {
    if (this.#isStopped) return;
    const isWaitedFor = this.#scheduleWindows(whole !== undefined);
    const wanted = whole ?? (isWaitedFor && this.#ignoresRanges ? 'demand' : undefined);
    if (wanted === undefined) return;
    // Somebody waits for what was only fetched ahead.
    if (this.#main?.isQueued === true && this.#main.priority === 'prefetch' && wanted === 'demand') {
      this.#main.controller.abort();
      this.#main = undefined;
    }
    if (this.#main === undefined) this.#startMain(wanted);
  }

  /** Fetches a range ahead of a reader, if it is not on its way. */
  readAhead(start: number, bytes: number): void {
    if (this.#isStopped || this.#ignoresRanges || this.#windows.size >= MAX_WINDOWS) return;
    const { file, object } = this.#options.source;
    const gap = file.gap(start, Math.min(object.size, start + bytes));
    if (gap !== undefined && !this.#isComing(gap[0], true)) this.#startWindow(gap[0], gap[1]);
  }

  /** Aborts everything; resolves when nothing is written any more. Streams that have all their bytes end by themselves. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#windows, ...(this.#main === undefined ? [] : [this.#main])];
    await Promise.all(
      running.map(async ({ stream, controller, done }) => {
        const isAtEnd = stream !== undefined && stream.position >= stream.end;
        if (!isAtEnd || !(await inTime(done, END_TIMEOUT_MS))) controller.abort();
        await done;
      }),
    );
    await Promise.all(this.#running);
  }

  #scheduleWindows(isWhole: boolean): boolean {
    const { file } = this.#options.source;
    let isWaitedFor = false;
    for (const { start, end, windowBytes } of this.#options.waiting()) {
      isWaitedFor = true;
      if (this.#ignoresRanges) break;
      const gap = file.gap(start, end);
      if (gap === undefined || this.#isComing(gap[0], false)) continue;
      if (this.#windows.size >= MAX_WINDOWS) this.#giveUpIdleWindow();
      if (this.#windows.size >= MAX_WINDOWS) break;
      const until = Math.max(end, Math.min(file.size, gap[0] + (isWhole ? WHOLE_WINDOW_BYTES : windowBytes)));
      this.#startWindow(gap[0], file.gap(gap[0], until)?.[1] ?? until);
    }
    return isWaitedFor;
  }

  #isComing(position: number, isPatient: boolean): boolean {
    for (const { stream } of this.#windows) {
      if (isPatient ? position >= stream.bringsFrom && position < stream.end : stream.isNear(position))
        return true;
    }
    return this.#main?.stream?.isNear(position) ?? false;
  }

  /** A window that only reads ahead makes place for one that is waited for. */
  #giveUpIdleWindow(): void {
    for (const window of this.#windows) {
      if (this.#isWaitedFor(window.stream)) continue;
      window.controller.abort();
      this.#windows.delete(window);
      return;
    }
  }

  #isWaitedFor(stream: DownloadStream): boolean {
    for (const { start, end } of this.#options.waiting()) {
      if (start < stream.end && end > stream.bringsFrom) return true;
    }
    return false;
  }

  #startWindow(start: number, end: number): void {
    const controller = new AbortController();
    const stream = new DownloadStream(this.#options.source, { start, end });
    const work = async (): Promise<void> => {
      const release = await this.#options.windows.acquire('demand', controller.signal);
      try {
        await stream.run(controller.signal);
        if (stream.ignoresRange) this.#ignoresRanges = true;
      } finally {
        release();
      }
    };
    const done = this.#settle(work(), controller.signal).then(() => {
      this.#windows.delete(window);
      this.#options.onIdle();
    });
    const window = { stream, controller, done };
    this.#windows.add(window);
  }

  #startMain(priority: Priority): void {
    const main: Main = {
      priority,
      controller: new AbortController(),
      stream: undefined,
      isQueued: true,
      done: Promise.resolve(),
    };
    this.#main = main;
    main.done = this.#settle(this.#fetchWhole(main), main.controller.signal).then(() => {
      if (this.#main === main) this.#main = undefined;
      this.#options.onIdle();
    });
  }

  async #fetchWhole(main: Main): Promise<void> {
    const { source, wholes, windows, makeFit } = this.#options;
    const { signal } = main.controller;
    // Many large transfers must not keep a small file waiting.
    const isSmall = source.object.size <= SMALL_OBJECT_BYTES && main.priority === 'demand';
    const release = await (isSmall ? windows : wholes).acquire(main.priority, signal);
    main.isQueued = false;
    try {
      if (!(await makeFit(signal))) return;
      while (!signal.aborted) {
        const gap = this.#nextGap();
        if (gap === undefined) {
          const others = [...this.#windows];
          if (others.length === 0) return;
          await Promise.race(others.map(({ done }) => done));
          continue;
        }
        const range = this.#ignoresRanges ? { start: 0, end: source.object.size } : gap;
        main.stream = new DownloadStream(source, range, {
          takesAll: true,
          pause: () => this.#pauseFor(signal),
          isTaken: (position) => this.#isInWindow(position),
        });
        await main.stream.run(signal);
        if (main.stream.ignoresRange) this.#ignoresRanges = true;
      }
    } finally {
      release();
    }
  }

  #isInWindow(position: number): boolean {
    for (const { stream } of this.#windows) {
      if (position >= stream.position && stream.end - position > TAKEN_BYTES) return true;
    }
    return false;
  }

  /** The first stretch that nobody fetches. */
  #nextGap(): { readonly start: number; readonly end: number } | undefined {
    const { file } = this.#options.source;
    const windows = new RangeMap();
    for (const { stream } of this.#windows) windows.add(stream.position, stream.end);
    for (let from = 0; from < file.size;) {
      const gap = file.gap(from, file.size);
      if (gap === undefined) return undefined;
      const free = windows.gap(gap[0], gap[1]);
      if (free !== undefined) return { start: free[0], end: free[1] };
      from = gap[1];
    }
    return undefined;
  }

  /** The line belongs to those who wait. */
  #pauseFor(signal: AbortSignal): Promise<void> | undefined {
    const waited = [...this.#windows].filter(({ stream }) => this.#isWaitedFor(stream));
    if (waited.length === 0) return undefined;
    const ended = Promise.race(waited.map(({ done }) => done));
    return orTimeout(ended, PAUSE_MS, signal);
  }

  #settle(work: Promise<void>, signal: AbortSignal): Promise<void> {
    const settled = work.catch((error: unknown) => {
      if (!signal.aborted) this.#options.onError(error as Error);
    });
    this.#running.add(settled);
    return settled.finally(() => this.#running.delete(settled));
  }
}
