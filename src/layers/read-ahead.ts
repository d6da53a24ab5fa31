// Fetching files ahead of a program that works through a folder, or through folders one after the other.
import type { ObjectSource } from '../objects/object-source.ts';
import { LruCache } from '../util/lru.ts';
import { isBelow, parentPath, placesAfter, tableAt } from './depth-first.ts';
import type { Place, WalkOrder } from './depth-first.ts';
import { Pursuit } from './pursuit.ts';
import type { ObjectId } from '../util/types.ts';
import type { LayerEntry } from './layer.ts';
import type { TreeTable } from './tree-table.ts';

/** Files of a folder that had to be waited for before the folder counts as being read through. */
const MISSES_BEFORE = 2;
/** Readers that are served at once; a further one takes the place of the one left longest. */
const MAX_READERS = 4;
const REMEMBERED_FOLDERS = 256;

/** What is known of a reader in one folder. */
interface Reading {
  readonly path: string;
  readonly table: TreeTable;
  misses: number;
  /** Made at the first window. */
  pursuit: Pursuit | undefined;
  places: Iterator<Place> | undefined;
}

/** A reader that works through folders. */
interface Passage {
  /** The folder that it works through. */
  readonly top: string;
  readonly pursuit: Pursuit;
}

/**
 * Watches which files are opened. When files of one folder had to be fetched one after the other, the next ones are
 * fetched in one request before they are asked for: few at first, more as long as the reader keeps up. When it then goes
 * on in another folder close by, what it will meet there and in the folders after that is fetched as well, as far as
 * these are known. What is fetched ahead waits behind everything that a process waits for.
 */
export class ReadAhead {
  readonly #objects: ObjectSource;
  readonly #order: WalkOrder;
  readonly #folders = new LruCache<string, Reading>(REMEMBERED_FOLDERS);
  readonly #active = new Set<Pursuit>();
  /** The folder that was read through last. */
  #last: Reading | undefined;
  #passage: Passage | undefined;

  /** `order` finds folders that are in memory or stored. */
  constructor(objects: ObjectSource, order: Pick<WalkOrder, 'rootId' | 'find'>) {
    this.#objects = objects;
    this.#order = { ...order, files: true };
  }

  /** A file was opened; `missed` when it had to be fetched. */
  opened(entry: LayerEntry, id: ObjectId, missed: boolean): void {
    // While nothing is fetched ahead, files that are there are none of our business: this is the hot path.
    if (!missed && this.#active.size === 0) return;
    const { path } = entry;
    const passage = this.#passage;
    if (passage !== undefined && isBelow(path, passage.top)) {
      passage.pursuit.opened(id, missed);
      // What was not foreseen: another order, or folders that nobody knew.
      if (missed && !passage.pursuit.isActive) this.#pursue(passage.pursuit, this.#after(passage.top, path));
      return;
    }
    const folder = parentPath(path);
    const reading = this.#folders.get(folder) ?? (missed ? this.#remember(folder) : undefined);
    reading?.pursuit?.opened(id, missed);
    if (reading === undefined || !missed) return;
    reading.misses++;
    if (reading.misses === 1 && this.#beginPassage(folder, path)) return;
    if (reading.misses < MISSES_BEFORE && reading.table.length > 1) return;
    this.#last = reading;
    if (reading.pursuit?.isActive === true) return;
    reading.pursuit ??= this.#createPursuit();
    reading.places ??= roundFrom(folder, reading.table, reading.table.find(entry.name) + 1);
    this.#pursue(reading.pursuit, reading.places);
  }

  #remember(path: string): Reading | undefined {
    const table = tableAt(this.#order, path);
    if (table === undefined) return undefined;
    const reading: Reading = { path, table, misses: 0, pursuit: undefined, places: undefined };
    this.#folders.set(path, reading);
    return reading;
  }

  /** The reader left a folder that it had read through, for one close by: it works through the folder of both. */
  #beginPassage(folder: string, path: string): boolean {
    const last = this.#last;
    if (last === undefined || last.path === '') return false;
    const top = parentPath(last.path);
    if (!isBelow(folder, top)) return false;
    const pursuit = this.#createPursuit();
    if (!this.#pursue(pursuit, this.#after(top, path))) return false;
    this.#passage?.pursuit.end();
    this.#passage = { top, pursuit };
    // It is followed upwards in the same way.
    this.#last = this.#folders.get(top) ?? this.#remember(top);
    return true;
  }

  #after(top: string, path: string): Iterator<Place> {
    return placesAfter(this.#order, top, path);
  }

  #createPursuit(): Pursuit {
    return new Pursuit(this.#objects, (ended) => {
      this.#active.delete(ended);
      // Whoever turned away has to show anew where it goes.
      if (this.#passage?.pursuit === ended) this.#passage = undefined;
    });
  }

  #pursue(pursuit: Pursuit, places: Iterator<Place>): boolean {
    if (!pursuit.start(places)) return false;
    this.#active.add(pursuit);
    if (this.#active.size > MAX_READERS) {
      const [oldest] = [...this.#active].sort((a, b) => a.lastOpenMs - b.lastOpenMs);
      oldest?.end();
    }
    return true;
  }
}

/** The entries of one folder from an index on, round to its beginning; none for the second time. */
function* roundFrom(folder: string, table: TreeTable, first: number): Generator<Place> {
  for (let step = 0; step < table.length; step++) {
    yield { folder, table, index: (first + step) % table.length };
  }
}
