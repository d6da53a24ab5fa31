// The order in which programs walk through folders: each entry, and at once what is below it.
import { posix } from 'node:path';
import type { ObjectId } from '../util/types.ts';
import type { TreeTable } from './tree-table.ts';

/** An entry on the way of a walk. */
export interface Place {
  /** Path of the folder that it is in; empty for the root. */
  readonly folder: string;
  readonly table: TreeTable;
  readonly index: number;
}

/** Finds a folder's entries without waiting; undefined where that is not possible. */
export type FindTable = (id: ObjectId) => TreeTable | undefined;

const folderIndexes = new WeakMap<TreeTable, Uint32Array>();

/** Indexes of a folder's subfolders, submodules left out. Remembered for each table. */
function subfoldersOf(table: TreeTable): Uint32Array {
  const known = folderIndexes.get(table);
  if (known !== undefined) return known;
  const indexes: number[] = [];
  for (let index = 0; index < table.length; index++) {
    if (!table.isBlob(index) && !table.isSubmodule(index)) indexes.push(index);
  }
  const found = Uint32Array.from(indexes);
  folderIndexes.set(table, found);
  return found;
}

/** Path of the folder that an entry is in; empty for those of the root. */
export function parentPath(path: string): string {
  const parent = posix.dirname(path);
  return parent === '.' ? '' : parent;
}

/** Whether an entry is a folder or below it. */
export function isBelow(path: string, folder: string): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`);
}

/** What a walk is about to meet. */
export interface WalkOrder {
  /** Id of the tree at the empty path. */
  readonly rootId: ObjectId;
  readonly find: FindTable;
  /** Whether files are wanted; else subfolders alone. */
  readonly files: boolean;
}

/** The entries of the folder at a path, as far as they can be found without waiting. */
export function tableAt(
  { rootId, find }: Pick<WalkOrder, 'rootId' | 'find'>,
  path: string,
): TreeTable | undefined {
  let table = find(rootId);
  for (const name of path === '' ? [] : path.split('/')) {
    const index = table?.find(name) ?? -1;
    if (table === undefined || index < 0 || table.isBlob(index)) return undefined;
    table = find(table.id(index));
  }
  return table;
}

/**
 * What comes after the entry at `position`, which is below the folder `top`, in the order of a walk through `top`; then
 * it ends. Folders that cannot be found without waiting are given, and not entered.
 */
export function* placesAfter(order: WalkOrder, top: string, position: string): Generator<Place> {
  // Tables on the way from the root to the position, and what each of them holds of that way.
  const way: Place[] = [];
  let id: ObjectId | undefined = order.rootId;
  let folder = '';
  for (const name of position === '' ? [] : position.split('/')) {
    const table: TreeTable | undefined = id === undefined ? undefined : order.find(id);
    const index: number = table?.find(name) ?? -1;
    if (table === undefined || index < 0) return;
    way.push({ folder, table, index });
    id = table.isBlob(index) ? undefined : table.id(index);
    folder = folder === '' ? name : `${folder}/${name}`;
  }
  if (id !== undefined) yield* below(order, id, folder);
  for (const place of way.toReversed()) {
    if (!isBelow(place.folder, top)) return;
    yield* siblings(order, place.folder, place.table, place.index + 1);
  }
}

function* below(order: WalkOrder, id: ObjectId, folder: string): Generator<Place> {
  const table = order.find(id);
  if (table !== undefined) yield* siblings(order, folder, table, 0);
}

function* siblings(order: WalkOrder, folder: string, table: TreeTable, first: number): Generator<Place> {
  const enter = (index: number): Generator<Place> => {
    const name = table.name(index);
    return below(order, table.id(index), folder === '' ? name : `${folder}/${name}`);
  };
  if (!order.files) {
    for (const index of subfoldersOf(table)) {
      if (index < first) continue;
      yield { folder, table, index };
      yield* enter(index);
    }
    return;
  }
  for (let index = first; index < table.length; index++) {
    yield { folder, table, index };
    if (!table.isBlob(index) && !table.isSubmodule(index)) yield* enter(index);
  }
}
