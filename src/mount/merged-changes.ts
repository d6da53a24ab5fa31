// What differs between a mount and the commit that it shows, path by path: for whoever builds a commit, or lists changes.
//
// The cost follows what was changed: the upper folder is walked, and of the lower layer only folders are listed that were
// moved, removed or replaced.
import { constants } from 'node:fs';
import type { Layer, LayerEntry, Listing } from '../layers/layer.ts';
import { isFolderMode } from '../layers/tree-table.ts';
import type { UpperChange, UpperChanges } from '../overlay/upper-changes.ts';
import { walkUpper, type UpperEntry, type UpperFolder } from '../overlay/upper-walk.ts';
import type { Stat } from '../util/syscall.ts';
import { Turns } from '../util/turns.ts';
import { joinPath, namesOf, resolveLower } from './prefetch/lower-folder.ts';

/** What a mount shows under a path; a folder only where that stands for a submodule. */
export interface MergedObject {
  /** Attributes in the upper layer; undefined: it is a lower object, as it is. */
  readonly upper: Stat | undefined;
  /** The lower object whose content it has, from wherever in the layer; undefined: its content is in the upper layer. */
  readonly lower: LayerEntry | undefined;
}

/** A path of the mount that does not show the same object as the commit, or whose object the upper layer has too. */
export interface MergedChange {
  /** `/`-separated, no leading slash, latin1. */
  readonly path: string;
  /** What the commit has under the path: a file, a symlink or a submodule; undefined: nothing, or a folder. */
  readonly before: LayerEntry | undefined;
  /** What the mount shows; undefined: nothing, or a folder. */
  readonly after: MergedObject | undefined;
}

/**
 * All such paths, each once; folders show by what is in them. The mount may change meanwhile: see `walkUpper`. Throws the
 * reason of the signal, and as the layer does.
 */
export async function* mergedChanges(
  layer: Layer,
  upperDir: string,
  signal: AbortSignal,
): AsyncGenerator<MergedChange> {
  const comparison = new Comparison(layer, signal);
  for await (const folder of walkUpper(upperDir, signal)) yield* comparison.folder(folder);
}

/** What the mount shows under one path; undefined: nothing, or a folder. */
export async function mergedObject(
  layer: Layer,
  upper: UpperChanges,
  path: string,
  signal: AbortSignal,
): Promise<MergedObject | undefined> {
  const names = namesOf(path);
  if (names.length === 0) return undefined;
  let lower: LayerEntry | undefined = layer.root;
  let hasUpper = true;
  let object: Stat | undefined;
  for (const [index, name] of names.entries()) {
    const change: UpperChange | undefined = hasUpper ? upper.at(names.slice(0, index), name) : undefined;
    lower = await resolveLower({ layer, upper, signal }, lower, change === undefined ? name : change.lower);
    if (lower === undefined && change?.object === undefined) return undefined;
    hasUpper = change?.shows === 'folder';
    object = change?.object;
    if (change?.shows === 'content' && lower === undefined) return undefined;
    const isLast = index === names.length - 1;
    const mode: number = object?.mode ?? lower?.mode ?? 0;
    if (isFolderMode(mode) === isLast) return undefined;
  }
  return { upper: object, lower };
}

/** A folder to compare: what shows in it, and what the commit has there. Entries are folders. */
interface Pair {
  readonly path: string;
  readonly lower: LayerEntry | undefined;
  readonly before: LayerEntry | undefined;
}

class Comparison {
  readonly #layer: Layer;
  readonly #signal: AbortSignal;
  readonly #turns = new Turns();

  constructor(layer: Layer, signal: AbortSignal) {
    this.#layer = layer;
    this.#signal = signal;
  }

  async *folder({ names, lowerPath, entries }: UpperFolder): AsyncGenerator<MergedChange> {
    const path = names.join('/');
    const before = folderOnly(await this.#resolve(path));
    const lower = lowerPath === path ? before : folderOnly(await this.#resolve(lowerPath));
    const had = before === undefined ? undefined : await this.#list(before);
    for (const entry of entries) {
      yield* this.#entry(path, entry, had?.get(entry.name));
      await this.#turns.give();
    }
    if (lower?.path === before?.path) return;
    const known = new Set(entries.map(({ name }) => name));
    yield* this.#compare({ path, lower, before }, known);
  }

  /** A name that the upper layer has. */
  async *#entry(
    folder: string,
    entry: UpperEntry,
    before: LayerEntry | undefined,
  ): AsyncGenerator<MergedChange> {
    const path = joinPath(folder, entry.name);
    const { object, shows } = entry;
    if (object === undefined) {
      if (before !== undefined) yield* this.#removed(path, before);
      return;
    }
    if (shows === 'folder') {
      yield* this.#upperFolder(path, entry, before);
      return;
    }
    const lower = shows === 'content' ? await this.#resolve(entry.lowerPath) : undefined;
    // What stands for content that is not there cannot be shown as anything.
    const after = shows === 'content' && lower === undefined ? undefined : { upper: object, lower };
    yield { path, before: before !== undefined && isTree(before) ? undefined : before, after };
    if (before !== undefined && isTree(before)) yield* this.#compare({ path, lower: undefined, before });
  }

  /** A folder of the upper layer itself; what is in it is compared when the walk comes to it. */
  async *#upperFolder(
    path: string,
    { object, lowerPath }: UpperEntry,
    before: LayerEntry | undefined,
  ): AsyncGenerator<MergedChange> {
    const isInPlace = lowerPath === path;
    const lower = isInPlace ? before : await this.#resolve(lowerPath);
    const after = lower?.isSubmodule === true ? { upper: object, lower } : undefined;
    const old = before === undefined || isTree(before) ? undefined : before;
    if (!isInPlace && (old !== undefined || after !== undefined)) yield { path, before: old, after };
  }

  /** Two lower folders, but for the names that are looked after elsewhere. */
  async *#compare(start: Pair, known?: ReadonlySet<string>): AsyncGenerator<MergedChange> {
    const waiting: Pair[] = [start];
    for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
      this.#signal.throwIfAborted();
      const { path, lower, before } = pair;
      if (lower?.id === before?.id) continue;
      const skipped = pair === start ? known : undefined;
      const shown = lower === undefined ? undefined : await this.#list(lower);
      const had = before === undefined ? undefined : await this.#list(before);
      for (const entry of entriesOf(shown)) {
        await this.#turns.give();
        if (skipped?.has(entry.name) === true) continue;
        const at = joinPath(path, entry.name);
        const old = had?.get(entry.name);
        if (isTree(entry)) waiting.push({ path: at, lower: entry, before: folderOnly(old) });
        else if (old !== undefined && isTree(old)) waiting.push({ path: at, lower: undefined, before: old });
        const oldFile = old !== undefined && !isTree(old) ? old : undefined;
        const newFile = isTree(entry) ? undefined : { upper: undefined, lower: entry };
        if (newFile === undefined && oldFile === undefined) continue;
        if (entry.id === oldFile?.id && entry.mode === oldFile.mode) continue;
        yield { path: at, before: oldFile, after: newFile };
      }
      for (const old of entriesOf(had)) {
        await this.#turns.give();
        if (skipped?.has(old.name) === true || shown?.get(old.name) !== undefined) continue;
        const at = joinPath(path, old.name);
        if (isTree(old)) waiting.push({ path: at, lower: undefined, before: old });
        else yield { path: at, before: old, after: undefined };
      }
    }
  }

  async *#removed(path: string, before: LayerEntry): AsyncGenerator<MergedChange> {
    if (isTree(before)) yield* this.#compare({ path, lower: undefined, before });
    else yield { path, before, after: undefined };
  }

  async #resolve(path: string | undefined): Promise<LayerEntry | undefined> {
    if (path === undefined) return undefined;
    return this.#layer.resolve(path, { signal: this.#signal });
  }

  async #list(folder: LayerEntry): Promise<Listing> {
    return this.#layer.list(folder, { signal: this.#signal });
  }
}

function* entriesOf(listing: Listing | undefined): Generator<LayerEntry> {
  for (let index = 0; index < (listing?.length ?? 0); index++) yield (listing as Listing).at(index);
}

/** Whether an entry is a folder whose entries count by themselves. */
function isTree(entry: LayerEntry): boolean {
  return isFolderMode(entry.mode) && entry.isSubmodule !== true;
}

function folderOnly(entry: LayerEntry | undefined): LayerEntry | undefined {
  return entry !== undefined && isTree(entry) ? entry : undefined;
}

/** Whether it is a regular file. */
export function isRegular(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFREG;
}
