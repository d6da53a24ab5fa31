// Fetching files ahead of one reader, window after window, for as long as it keeps up.
import type { ObjectSource } from '../objects/object-source.ts';
import type { ObjectId } from '../util/types.ts';
import type { Place } from './depth-first.ts';

const FIRST_WINDOW_FILES = 32;
const MAX_WINDOW_FILES = 512;
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;
/** Larger files are left to those who read them. Bytes. */
const MAX_FILE_BYTES = 256 * 1024;
/** Entries that are looked at for one window, so that looking stays short where hardly any file is small. */
const MAX_LOOKS = 4096;
/** A reader that waits for more files that were not foreseen than this, and than others, goes another way. */
const MAX_MISSES = 32;
/** After so long without an open, the reader has turned away, in milliseconds. */
const TURNED_AWAY_MS = 3000;

/** One reader. Its places come in the order in which it is expected to open them. */
export class Pursuit {
  readonly #objects: ObjectSource;
  readonly #onEnd: (pursuit: Pursuit) => void;
  #windowFiles = FIRST_WINDOW_FILES;
  /** Files of the last window. */
  #files = 0;
  /** Files of the last two windows. */
  #foreseen: ReadonlyMap<ObjectId, number>[] = [];
  /** Since it began: files that were opened as foreseen, and others that had to be waited for. */
  #hits = 0;
  #misses = 0;
  #lastOpenMs = performance.now();
  #places: Iterator<Place> | undefined;
  #flight: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `onEnd` is called when nothing is fetched ahead any more: nothing is left, or the reader turned away. */
  constructor(objects: ObjectSource, onEnd: (pursuit: Pursuit) => void) {
    this.#objects = objects;
    this.#onEnd = onEnd;
  }

  /** Whether files are fetched ahead. */
  get isActive(): boolean {
    return this.#places !== undefined;
  }

  /** When the reader last opened a file, in milliseconds of performance.now(). */
  get lastOpenMs(): number {
    return this.#lastOpenMs;
  }

  /** The reader opened a file; `missed` when it had to be waited for. */
  opened(id: ObjectId, missed: boolean): void {
    this.#lastOpenMs = performance.now();
    if (this.#places === undefined) return;
    if (this.#foreseen.some((files) => files.has(id))) this.#hits++;
    else if (missed) this.#misses++;
    if (this.#misses > Math.max(MAX_MISSES, this.#hits)) this.end();
    else if (this.#flight === undefined && this.#isKeepingUp()) this.#run();
  }

  /** Fetches the next window of small files, and further ones while the reader keeps up. False when there are none. */
  start(places: Iterator<Place>): boolean {
    this.end();
    this.#places = places;
    this.#timer = setInterval(() => {
      if (performance.now() - this.#lastOpenMs >= TURNED_AWAY_MS) this.end();
    }, TURNED_AWAY_MS);
    this.#timer.unref();
    this.#windowFiles = FIRST_WINDOW_FILES;
    this.#run();
    return this.isActive;
  }

  /** Gives up what is under way. */
  end(): void {
    if (this.#places === undefined) return;
    this.#places = undefined;
    clearInterval(this.#timer);
    this.#flight?.abort();
    this.#flight = undefined;
    this.#onEnd(this);
  }

  #isKeepingUp(): boolean {
    return this.#places !== undefined && this.#hits * 2 >= this.#files;
  }

  #run(): void {
    const files = this.#places === undefined ? undefined : this.#chooseNext(this.#places);
    if (files === undefined || files.size === 0) {
      this.end();
      return;
    }
    const flight = new AbortController();
    this.#flight = flight;
    this.#files = files.size;
    this.#foreseen = [files, ...this.#foreseen.slice(0, 1)];
    this.#hits = 0;
    this.#misses = 0;
    this.#windowFiles = Math.min(MAX_WINDOW_FILES, this.#windowFiles * 4);
    const sizeOf = (id: ObjectId): number | undefined => files.get(id);
    const request = { priority: 'prefetch', signal: flight.signal, sizeOf } as const;
    this.#objects.prefetchBlobs([...files.keys()], request).then(
      () => {
        if (this.#flight !== flight) return;
        this.#flight = undefined;
        if (this.#isKeepingUp()) this.#run();
      },
      // Whoever opens one of these files meets the error, and fetches it alone.
      () => {
        if (this.#flight === flight) this.end();
      },
    );
  }

  /** Ids and sizes of the files of the next window. */
  #chooseNext(places: Iterator<Place>): Map<ObjectId, number> {
    const files = new Map<ObjectId, number>();
    let bytes = 0;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      if (files.size >= this.#windowFiles || bytes >= MAX_WINDOW_BYTES) break;
      const next = places.next();
      if (next.done === true) break;
      const { table, index } = next.value;
      const size = table.isBlob(index) ? table.size(index) : undefined;
      if (size === undefined || size > MAX_FILE_BYTES) continue;
      files.set(table.id(index), size);
      bytes += size;
    }
    return files;
  }
}
