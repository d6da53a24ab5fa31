// Listings of the monorepo layer: a tree at the place where it hangs.
import type { ObjectId } from '../util/types.ts';
import type { LayerEntry, Listing } from './layer.ts';
import type { TreeTable } from './tree-table.ts';

/** An entry, which remembers its size once it was learned. It does not keep the table in memory. */
export class MonorepoEntry implements LayerEntry {
  readonly name: string;
  readonly mode: number;
  readonly id: ObjectId;
  readonly path: string;
  readonly isSubmodule?: boolean;
  /** Size in bytes, of a blob, where it is known. */
  size: number | undefined;

  constructor(
    entry: { name: string; mode: number; id: ObjectId; path: string; isSubmodule?: boolean },
    size?: number,
  ) {
    this.name = entry.name;
    this.mode = entry.mode;
    this.id = entry.id;
    this.path = entry.path;
    if (entry.isSubmodule === true) this.isSubmodule = true;
    this.size = size;
  }
}

/** A folder's entries; the same tree at another path has another listing, and shares the table. */
export class MonorepoListing implements Listing {
  readonly table: TreeTable;
  readonly #prefix: string;

  constructor(directory: LayerEntry, table: TreeTable) {
    this.table = table;
    this.#prefix = directory.path === '' ? '' : `${directory.path}/`;
  }

  get length(): number {
    return this.table.length;
  }

  at(index: number): MonorepoEntry {
    const { table } = this;
    if (!(index >= 0 && index < table.length)) throw new RangeError(`no entry ${index} of ${table.length}`);
    const name = table.name(index);
    return new MonorepoEntry(
      {
        name,
        mode: table.mode(index),
        id: table.id(index),
        path: this.#prefix + name,
        isSubmodule: table.isSubmodule(index),
      },
      table.size(index),
    );
  }

  get(name: string): MonorepoEntry | undefined {
    const index = this.table.find(name);
    return index < 0 ? undefined : this.at(index);
  }
}
