// Asking for large files ahead of whoever opens one after the other in a folder.
import type { LfsClient } from '../lfs/client/lfs-client.ts';
import type { LfsDownloads } from '../lfs/download/lfs-downloads.ts';
import type { LfsObject, LfsOid, WantedObject } from '../lfs/lfs-object.ts';
import { LruCache } from '../util/lru.ts';
import { parentPath } from './depth-first.ts';
import type { Layer, LayerEntry, Listing } from './layer.ts';

/** Files of a folder whose whereabouts are asked for in one request: what a batch may have. */
const LOCATED_TOGETHER = 100;
/** Entries that are looked at for those, so that looking stays short in a folder where hardly any file is large. */
const MAX_LOOKS = 4096;
/** Files that were waited for, one soon after the other, before the next ones are fetched ahead. */
const MISSES_BEFORE = 2;
/** What is fetched ahead of a reader at most. */
const AHEAD_FILES = 8;
const AHEAD_BYTES = 64 * 1024 * 1024;
/** Larger files are left to those who read them. Bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** After so long without an open, the reader has turned away, in milliseconds. */
const TURNED_AWAY_MS = 3000;
const REMEMBERED_FOLDERS = 64;

/** What it needs. */
export interface LargeFilesAheadParts {
  readonly inner: Pick<Layer, 'list' | 'resolve'>;
  readonly downloads: Pick<LfsDownloads, 'has' | 'fetch'>;
  readonly client: (signal?: AbortSignal) => Promise<LfsClient>;
  /** The large file that an entry is, as far as is known without waiting. */
  readonly wanted: (entry: LayerEntry) => WantedObject | undefined;
}

/** One reader in one folder. */
interface Reader {
  readonly listing: Listing;
  /** The next large files, from the one that was opened first, in the order of the folder. */
  files: readonly WantedObject[];
  readonly places: Map<LfsOid, number>;
  misses: number;
  /** Set while files are fetched ahead. */
  flight: AbortController | undefined;
  readonly underWay: Map<LfsOid, number>;
  /** What was tried: it is not fetched ahead a second time. */
  readonly tried: Set<LfsOid>;
  place: number;
}

/**
 * Watches which large files are opened and have to be fetched. With the first one of a folder, the server is asked about
 * the next ones in the same request, so that each of them costs a transfer and no question. Who goes on to the next file
 * finds the following ones fetched ahead: few and small ones, behind all demands, until the reader turns away.
 */
export class LargeFilesAhead {
  readonly #parts: LargeFilesAheadParts;
  readonly #readers = new LruCache<string, Reader>(REMEMBERED_FOLDERS);
  readonly #active = new Set<Reader>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: LargeFilesAheadParts) {
    this.#parts = parts;
  }

  /** A large file was opened; `missed` when it is not stored. */
  opened(entry: LayerEntry, object: LfsObject, missed: boolean): void {
    if ((!missed && this.#active.size === 0) || this.#isClosed) return;
    const folder = parentPath(entry.path);
    let reader = this.#readers.get(folder);
    if (reader === undefined && missed) {
      reader = this.#createReader(folder);
      if (reader !== undefined) this.#readers.set(folder, reader);
    }
    if (reader === undefined || (!missed && reader.flight === undefined)) return;
    const place = reader.places.get(object.oid) ?? this.#begin(reader, entry);
    if (place === undefined) return;
    if (missed) reader.misses = place > reader.place || reader.misses === 0 ? reader.misses + 1 : 1;
    reader.place = place;
    if (reader.misses < MISSES_BEFORE) return;
    this.#watch(reader);
    this.#fill(reader);
  }

  /** Gives up what is under way. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const reader of this.#active) this.#end(reader);
  }

  /** Folders that are not in memory are left alone: nothing is to be fetched for this. */
  #createReader(folder: string): Reader | undefined {
    const { inner } = this.#parts;
    const quietly = { priority: 'prefetch' } as const;
    const found = inner.resolve(folder, quietly);
    if (found instanceof Promise) {
      found.catch(() => undefined);
      return undefined;
    }
    const listing = found === undefined ? undefined : inner.list(found, quietly);
    if (listing === undefined) return undefined;
    if (listing instanceof Promise) {
      listing.catch(() => undefined);
      return undefined;
    }
    return {
      listing,
      files: [],
      places: new Map(),
      misses: 0,
      flight: undefined,
      underWay: new Map(),
      tried: new Set(),
      place: 0,
    };
  }

  /** Looks from a file on for the next ones, and asks the server about all of them. */
  #begin(reader: Reader, from: LayerEntry): number | undefined {
    const { wanted, downloads, client } = this.#parts;
    const { listing } = reader;
    const first = listing.find(from.name);
    if (first < 0) return undefined;
    const files: WantedObject[] = [];
    reader.places.clear();
    for (let step = 0; step < Math.min(listing.length, MAX_LOOKS); step++) {
      if (files.length >= LOCATED_TOGETHER) break;
      const file = wanted(listing.at((first + step) % listing.length));
      // Files of the same content are one.
      if (file === undefined || reader.places.has(file.oid)) continue;
      if (step > 0 && downloads.has(file.oid)) continue;
      reader.places.set(file.oid, files.length);
      files.push(file);
    }
    reader.files = files;
    reader.place = 0;
    const ask = async (): Promise<void> => void (await (await client()).locate(files));
    // Whoever opens one of them meets the failure.
    if (files.length > 1) ask().catch(() => undefined);
    return files.length > 0 ? 0 : undefined;
  }

  #fill(reader: Reader): void {
    const { downloads } = this.#parts;
    let bytes = 0;
    for (const size of reader.underWay.values()) bytes += size;
    const end = Math.min(reader.files.length, reader.place + 1 + AHEAD_FILES);
    for (let place = reader.place + 1; place < end; place++) {
      const file = reader.files[place] as WantedObject;
      if (reader.tried.has(file.oid) || file.size >= MAX_FILE_BYTES) continue;
      if (reader.underWay.size >= AHEAD_FILES || bytes + file.size > AHEAD_BYTES) return;
      reader.tried.add(file.oid);
      if (downloads.has(file.oid)) continue;
      bytes += file.size;
      reader.underWay.set(file.oid, file.size);
      void this.#fetch(reader, file);
    }
  }

  async #fetch(reader: Reader, file: WantedObject): Promise<void> {
    reader.flight ??= new AbortController();
    const { signal } = reader.flight;
    try {
      const client = await this.#parts.client(signal);
      await this.#parts.downloads.fetch(client, file, { priority: 'prefetch', signal });
      reader.underWay.delete(file.oid);
      if (!signal.aborted) this.#fill(reader);
    } catch {
      // Whoever opens it meets the failure; one that was given up is fetched ahead when the reader comes back.
      if (signal.aborted) reader.tried.delete(file.oid);
      reader.underWay.delete(file.oid);
    }
  }

  /** Ends what is fetched ahead of a reader who opens no more files. */
  #watch(reader: Reader): void {
    reader.flight ??= new AbortController();
    this.#active.add(reader);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      for (const other of this.#active) this.#end(other);
    }, TURNED_AWAY_MS).unref();
  }

  #end(reader: Reader): void {
    reader.flight?.abort();
    reader.flight = undefined;
    reader.misses = 0;
    this.#active.delete(reader);
  }
}
