// Fetching the files of a folder ahead of a reader that works through it.
import type { ObjectSource } from '../objects/object-source.ts';
import { LruCache } from '../util/lru.ts';
import type { ObjectId } from '../util/types.ts';
import type { TreeTable } from './tree-table.ts';

/** Files of a folder that had to be waited for before the folder counts as being read through. */
const MISSES_BEFORE = 2;
const FIRST_WINDOW_FILES = 32;
const MAX_WINDOW_FILES = 512;
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;
/** Larger files are left to those who read them. Bytes. */
const MAX_FILE_BYTES = 256 * 1024;
/** Folders that are fetched ahead at once; a further one takes the place of the one left longest. */
const MAX_ACTIVE_FOLDERS = 4;
const REMEMBERED_FOLDERS = 256;
/** After so long without an open, the reader has turned away, in milliseconds. */
const TURNED_AWAY_MS = 3000;

/** What is known of a reader in one folder. */
interface Reading {
  readonly table: TreeTable;
  misses: number;
  /** Opens since the present window began. */
  opens: number;
  lastOpenMs: number;
  windowFiles: number;
  /** The entry after which the next window begins. */
  next: number;
  /** Entries that were considered for a window. */
  considered: number;
  flight: AbortController | undefined;
}

/**
 * Watches which files are opened. When files of one folder had to be fetched one after the other, the next ones are
 * fetched in one request before they are asked for: few at first, more as long as the reader keeps up. What is fetched
 * ahead waits behind everything that a process waits for.
 */
export class ReadAhead {
  readonly #objects: ObjectSource;
  readonly #folders = new LruCache<string, Reading>(REMEMBERED_FOLDERS);
  readonly #active = new Set<Reading>();

  constructor(objects: ObjectSource) {
    this.#objects = objects;
  }

  /** A folder was listed: its files may be read next. */
  listed(path: string, table: TreeTable): void {
    if (this.#folders.get(path)?.table === table) return;
    this.#folders.set(path, {
      table,
      misses: 0,
      opens: 0,
      lastOpenMs: 0,
      windowFiles: FIRST_WINDOW_FILES,
      next: 0,
      considered: 0,
      flight: undefined,
    });
  }

  /** A file was opened; `missed` when it had to be fetched. `path` and `name` as in its entry. */
  opened(path: string, name: string, missed: boolean): void {
    // While nothing is fetched ahead, files that are there are none of our business: this is the hot path.
    if (!missed && this.#active.size === 0) return;
    const reading = this.#folders.get(path.slice(0, Math.max(0, path.length - name.length - 1)));
    if (reading === undefined) return;
    reading.opens++;
    reading.lastOpenMs = performance.now();
    if (!missed) return;
    reading.misses++;
    if (reading.misses < MISSES_BEFORE || reading.flight !== undefined) return;
    reading.next = reading.table.find(name) + 1;
    this.#startWindow(reading);
  }

  #startWindow(reading: Reading): void {
    const ids = this.#chooseNext(reading);
    if (ids.length === 0) return;
    this.#makeRoom();
    const flight = new AbortController();
    reading.flight = flight;
    reading.opens = 0;
    this.#active.add(reading);
    const timer = setInterval(() => {
      if (performance.now() - reading.lastOpenMs >= TURNED_AWAY_MS) flight.abort();
    }, TURNED_AWAY_MS);
    timer.unref();
    const fetching = this.#objects.prefetchBlobs(ids, { priority: 'prefetch', signal: flight.signal });
    void fetching
      // Whoever opens one of these files meets the error, and fetches it alone.
      .catch(() => flight.abort())
      .then(() => {
        clearInterval(timer);
        reading.flight = undefined;
        this.#active.delete(reading);
        const keepsUp = reading.opens * 4 >= Math.min(ids.length, reading.windowFiles);
        reading.windowFiles = Math.min(MAX_WINDOW_FILES, reading.windowFiles * 4);
        if (!flight.signal.aborted && keepsUp) this.#startWindow(reading);
      });
  }

  /** The next small files after the reader's place, round to the folder's beginning; none for the second time. */
  #chooseNext(reading: Reading): ObjectId[] {
    const { table } = reading;
    const ids: ObjectId[] = [];
    let bytes = 0;
    while (
      reading.considered < table.length &&
      ids.length < reading.windowFiles &&
      bytes < MAX_WINDOW_BYTES
    ) {
      const index = reading.next % table.length;
      reading.next = index + 1;
      reading.considered++;
      const size = table.isBlob(index) ? table.size(index) : undefined;
      if (size === undefined || size > MAX_FILE_BYTES) continue;
      ids.push(table.id(index));
      bytes += size;
    }
    return ids;
  }

  #makeRoom(): void {
    if (this.#active.size < MAX_ACTIVE_FOLDERS) return;
    let oldest: Reading | undefined;
    for (const reading of this.#active) {
      if (oldest === undefined || reading.lastOpenMs < oldest.lastOpenMs) oldest = reading;
    }
    oldest?.flight?.abort();
  }
}
