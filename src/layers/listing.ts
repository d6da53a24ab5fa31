// Listings of the monorepo layer: a tree at the place where it hangs.
import type { ObjectId } from '../util/types.ts';
import type { LayerEntry, Listing } from './layer.ts';
import { isFolderMode, type TreeTable } from './tree-table.ts';

/** A folder or a submodule as an entry. It stands alone: whoever keeps it does not keep its folder's table. */
export class FolderEntry implements LayerEntry {
  readonly name: string;
  readonly mode: number;
  readonly id: ObjectId;
  readonly path: string;
  readonly isSubmodule?: boolean;

  constructor(entry: { name: string; mode: number; id: ObjectId; path: string; isSubmodule: boolean }) {
    this.name = entry.name;
    this.mode = entry.mode;
    this.id = entry.id;
    this.path = entry.path;
    if (entry.isSubmodule) this.isSubmodule = true;
  }
}

/**
 * A file or symlink as an entry: a place in a table, from which everything else is read when it is asked for. Most
 * entries live for one request, which needs neither id nor path.
 */
export class FileEntry implements LayerEntry {
  readonly #table: TreeTable;
  readonly #prefix: string;
  readonly #index: number;

  constructor(table: TreeTable, prefix: string, index: number) {
    this.#table = table;
    this.#prefix = prefix;
    this.#index = index;
  }

  get name(): string {
    return this.#table.name(this.#index);
  }

  get mode(): number {
    return this.#table.mode(this.#index);
  }

  get id(): ObjectId {
    return this.#table.id(this.#index);
  }

  get path(): string {
    return this.#prefix + this.name;
  }

  /** Size in bytes where it was noted in the table. */
  get size(): number | undefined {
    return this.#table.size(this.#index);
  }

  /** Notes the size. */
  setSize(size: number): void {
    this.#table.setSize(this.#index, size);
  }
}

/** A folder's entries; the same tree at another path has another listing, and shares the table. */
export class MonorepoListing implements Listing {
  /** Id of the tree. */
  readonly id: ObjectId;
  readonly table: TreeTable;
  readonly #prefix: string;

  constructor(directory: LayerEntry, table: TreeTable) {
    this.id = directory.id;
    this.table = table;
    this.#prefix = directory.path === '' ? '' : `${directory.path}/`;
  }

  get length(): number {
    return this.table.length;
  }

  get byteLength(): number {
    return this.table.byteLength;
  }

  at(index: number): FileEntry | FolderEntry {
    const { table } = this;
    if (!(index >= 0 && index < table.length)) throw new RangeError(`no entry ${index} of ${table.length}`);
    const mode = table.mode(index);
    if (!isFolderMode(mode)) return new FileEntry(table, this.#prefix, index);
    const name = table.name(index);
    return new FolderEntry({
      name,
      mode,
      id: table.id(index),
      path: this.#prefix + name,
      isSubmodule: table.isSubmodule(index),
    });
  }

  nameAt(index: number): string {
    return this.table.name(index);
  }

  modeAt(index: number): number {
    return this.table.mode(index);
  }

  find(name: string): number {
    return this.table.find(name);
  }

  get(name: string): FileEntry | FolderEntry | undefined {
    const index = this.table.find(name);
    return index < 0 ? undefined : this.at(index);
  }
}
