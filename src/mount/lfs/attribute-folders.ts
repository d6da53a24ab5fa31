// The rules of a mount's folders, found on the way down from its root, and kept while nothing changes.
import { closeSync, fstatSync } from 'node:fs';
import { parentPath, isBelow } from '../../layers/depth-first.ts';
import type { Layer, LayerEntry, LayerRequest } from '../../layers/layer.ts';
import { isFolderMode } from '../../layers/tree-table.ts';
import type { AttributeFiles, AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import { createRootRules } from '../../lfs/attributes/folder-rules.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { chain } from '../../util/chain.ts';
import { ErrnoError } from '../../util/errno.ts';
import { LruCache } from '../../util/lru.ts';
import { SingleFlight } from '../../util/single-flight.ts';
import type { Awaitable } from '../../util/types.ts';
import { AttributeFileReader, type AttributeFolder } from './attribute-files.ts';
import type { GlobalAttributes } from './global-attributes.ts';

/** Git's attribute files. */
export const GITATTRIBUTES = '.gitattributes';
/** Libra's, which counts in a root only. */
export const LIBRA_ATTRIBUTES = '.libra_attributes';

/** Folders whose rules are kept. */
const REMEMBERED_FOLDERS = 4096;

/** Where rules come from. */
export interface AttributeFoldersParts {
  /** The lower layer as the repository has it: a pointer is a small file. */
  readonly plain: Layer;
  readonly upperDir: string;
  /** Path of the mount in the monorepo: no leading slash, latin1, `''` for all of it. */
  readonly rootPath: string;
  /** Attribute files of the folders above the mount, from the top down; asked once, when they are first needed. */
  readonly above: (signal: AbortSignal) => Promise<readonly AttributeFiles[]>;
  readonly global: Pick<GlobalAttributes, 'content'>;
  readonly onWarning: (message: string) => void;
}

/** A folder of the mount. */
interface Place extends AttributeFolder {
  readonly rules: AttributeRules;
  /** Whether it shows the lower folder of the same path. */
  readonly isInPlace: boolean;
}

/** What is known of folders, consistent with one state of the attribute files. */
class Known {
  /** By path in the mount; with a folder all those above it are there, but for the root. */
  readonly #places = new Map<string, Place>();
  /** Paths of the folders in a folder that are known. */
  readonly #children = new Map<string, Set<string>>();
  /** Of lower folders that the mount does not show under their own path. */
  readonly elsewhere = new LruCache<string, AttributeRules>(REMEMBERED_FOLDERS);
  #root: Place | undefined;

  place(path: string): Place | undefined {
    return path === '' ? this.#root : this.#places.get(path);
  }

  keep(place: Place): void {
    const path = place.names.join('/');
    if (path === '') {
      this.#root = place;
      return;
    }
    const parent = parentPath(path);
    if (parent !== '' && !this.#places.has(parent)) return;
    this.#places.set(path, place);
    const siblings = this.#children.get(parent);
    if (siblings === undefined) this.#children.set(parent, new Set([path]));
    else siblings.add(path);
  }

  /** Forgets folders when there are too many. */
  limit(): void {
    if (this.#places.size <= REMEMBERED_FOLDERS) return;
    this.#places.clear();
    this.#children.clear();
  }

  /** Forgets a folder and all below it. */
  drop(path: string): void {
    this.elsewhere.clear();
    this.#children.get(parentPath(path))?.delete(path);
    const waiting = [path];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const child of this.#children.get(next) ?? []) waiting.push(child);
      this.#children.delete(next);
      this.#places.delete(next);
    }
  }

  lowerRules(folder: string): AttributeRules | undefined {
    const place = this.place(folder);
    return place?.isInPlace === true ? place.rules : this.elsewhere.get(folder);
  }
}

/** Finds and keeps rules. Paths are latin1, without a leading slash; `''` is the root. */
export class AttributeFolders {
  readonly #parts: AttributeFoldersParts;
  readonly #upper: UpperChanges;
  readonly #files: AttributeFileReader;
  readonly #closing = new AbortController();
  readonly #aboveFlight = new SingleFlight<'above', readonly AttributeFiles[]>(() => new ErrnoError('EINTR'));
  #above: readonly AttributeFiles[] | undefined;
  #known = new Known();
  /** Grows with each change: what was read before it may not hold any more. */
  #epoch = 0;
  /** What was known when the overlay was last told of a change, while there are changes that it was not told of. */
  #before: Known | undefined;
  /** Folders of the mount in which the upper layer decides about an attribute file. */
  readonly #edits = new Set<string>();
  // Files are asked about folder by folder.
  #lastFolder: string | undefined;
  #lastRules: AttributeRules | undefined;

  constructor(parts: AttributeFoldersParts) {
    this.#parts = parts;
    this.#upper = new UpperChanges(parts.upperDir);
    this.#files = new AttributeFileReader({ ...parts, upper: this.#upper });
    if (parts.rootPath === '') this.#above = [];
  }

  get mayHaveLockable(): boolean {
    return this.#files.sawLockable || this.#globalSpeaksOf('lockable');
  }

  knownMergedRules(folder: string): AttributeRules | undefined {
    return this.#known.place(folder)?.rules;
  }

  mergedRules(folder: string, signal?: AbortSignal): Awaitable<AttributeRules> {
    return chain(this.#place(folder, requestOf(signal)), ({ rules }) => rules);
  }

  knownLowerRules(folder: string): AttributeRules | undefined {
    if (this.#lastFolder === folder && this.#lastRules !== undefined) return this.#lastRules;
    const rules = this.#known.lowerRules(folder);
    this.#lastFolder = folder;
    this.#lastRules = rules;
    return rules;
  }

  lowerRules(folder: string, signal?: AbortSignal): Awaitable<AttributeRules> {
    const known = this.knownLowerRules(folder);
    if (known !== undefined) return known;
    return chain(this.#place(folder, requestOf(signal)), ({ isInPlace, rules }) =>
      isInPlace ? rules : this.#rulesElsewhere(folder, requestOf(signal)),
    );
  }

  /** An attribute file of a folder of the mount changed, or those for all mounts: rules are found anew. */
  edited(folder: string): void {
    this.#edits.add(folder);
    this.#before ??= this.#known;
    this.#known = new Known();
    this.#changed();
  }

  /** Whether the user's attribute file of that name in a folder of the mount is there, and empty. */
  isEmpty(folder: string, name: string): boolean {
    const fd = this.#upper.open(folder === '' ? [name] : [...folder.split('/'), name]);
    if (fd === undefined) return false;
    try {
      return fstatSync(fd).size === 0;
    } finally {
      closeSync(fd);
    }
  }

  /** A folder of the mount moved, or is gone. */
  moved(path: string): void {
    // One above it that the upper layer did not have may be there by now: so it is looked for again.
    const names = path.split('/');
    const stale = names.findIndex((_, depth) => {
      return this.#known.place(names.slice(0, depth + 1).join('/'))?.hasUpper === false;
    });
    this.#known.drop(stale < 0 ? path : names.slice(0, stale + 1).join('/'));
    this.#changed();
  }

  /** Whether the upper layer decides about an attribute file in a folder of the mount, or below it. */
  hasEditsBelow(path: string): boolean {
    for (const folder of this.#edits) if (isBelow(folder, path)) return true;
    return false;
  }

  /**
   * Tells of which lower files the rules say something else than when this was called the last time; of what is not known
   * at once, that they may. `isCandidate` says which files could be concerned at all.
   */
  changeOfLower(isCandidate: (entry: LayerEntry) => boolean): (entry: LayerEntry) => boolean {
    const before = this.#before;
    this.#before = undefined;
    let folder: string | undefined;
    let then: AttributeRules | undefined;
    let now: AttributeRules | undefined;
    return (entry) => {
      if (!isCandidate(entry)) return false;
      const parent = parentPath(entry.path);
      if (parent !== folder) {
        folder = parent;
        then = before?.lowerRules(parent);
        now = then === undefined ? undefined : this.#lowerRulesAtOnce(parent);
      }
      if (then === undefined || now === undefined) return true;
      return then !== now && then.of(entry.name).isLfs !== now.of(entry.name).isLfs;
    };
  }

  close(): void {
    this.#closing.abort();
    void this.#aboveFlight.close();
  }

  #changed(): void {
    this.#epoch++;
    this.#lastFolder = undefined;
    this.#lastRules = undefined;
  }

  #globalSpeaksOf(word: string): boolean {
    const { content } = this.#parts.global;
    return content !== undefined && Buffer.from(content).includes(word);
  }

  #lowerRulesAtOnce(folder: string): AttributeRules | undefined {
    try {
      const rules = this.lowerRules(folder);
      if (!(rules instanceof Promise)) return rules;
      rules.catch(() => undefined);
    } catch {
      // Whoever asks for the file is told.
    }
    return undefined;
  }

  /** The folder at a path of the mount. */
  #place(path: string, request: LayerRequest): Awaitable<Place> {
    const known = this.#known;
    const found = known.place(path);
    if (found !== undefined) return found;
    known.limit();
    const epoch = this.#epoch;
    const names = path === '' ? [] : path.split('/');
    let start: Place | undefined;
    for (let depth = names.length - 1; depth > 0 && start === undefined; depth--) {
      start = known.place(names.slice(0, depth).join('/'));
    }
    return chain(
      chain(start ?? known.place('') ?? this.#root(request), (place) =>
        this.#descend(this.#kept(place, epoch), names, epoch, request),
      ),
      // What was read may be of the time before a change.
      (place) => (this.#epoch === epoch ? place : this.#place(path, request)),
    );
  }

  #kept(place: Place, epoch: number): Place {
    if (this.#epoch === epoch) this.#known.keep(place);
    return place;
  }

  /** Goes down as far as folders are known without waiting, then waits for the next one. */
  #descend(start: Place, names: readonly string[], epoch: number, request: LayerRequest): Awaitable<Place> {
    let place = start;
    for (let depth = place.names.length; depth < names.length; depth++) {
      const next = this.#enter(place, names.slice(0, depth + 1), request);
      if (next instanceof Promise) {
        return next.then((entered) => this.#descend(this.#kept(entered, epoch), names, epoch, request));
      }
      place = this.#kept(next, epoch);
    }
    return place;
  }

  #root(request: LayerRequest): Awaitable<Place> {
    const { plain, rootPath, global } = this.#parts;
    const folder: AttributeFolder = { names: [], lower: plain.root, hasUpper: true };
    return chain(this.#filesAbove(request), (files) =>
      chain(this.#read(folder, GITATTRIBUTES, request), (gitattributes) =>
        chain(this.#read(folder, LIBRA_ATTRIBUTES, request), (libraAttributes) => {
          const rules = createRootRules({
            files: { gitattributes, libraAttributes },
            global: global.content,
            above: { path: rootPath, files },
          });
          return { ...folder, rules, isInPlace: true };
        }),
      ),
    );
  }

  #enter(parent: Place, names: readonly string[], request: LayerRequest): Awaitable<Place> {
    const name = names.at(-1) ?? '';
    const path = names.join('/');
    const change = parent.hasUpper ? this.#upper.at(parent.names, name) : undefined;
    const isFolder = change === undefined || change.shows === 'folder';
    const lowerPath = change === undefined ? name : isFolder ? change.lower : undefined;
    return chain(this.#lowerFolder(parent.lower, lowerPath, request), (lower) => {
      const folder: AttributeFolder = { names, lower, hasUpper: change !== undefined && isFolder };
      const isInPlace = parent.isInPlace && lower?.path === path;
      return chain(this.#read(folder, GITATTRIBUTES, request), (gitattributes) => ({
        ...folder,
        rules: parent.rules.inside(name, { gitattributes }),
        isInPlace,
      }));
    });
  }

  /** The lower folder that something stands for (see UpperChange.lower). */
  #lowerFolder(
    beside: LayerEntry | undefined,
    lower: string | undefined,
    request: LayerRequest,
  ): Awaitable<LayerEntry | undefined> {
    const { plain } = this.#parts;
    const onlyFolder = (entry: LayerEntry | undefined): LayerEntry | undefined =>
      entry !== undefined && isFolderMode(entry.mode) ? entry : undefined;
    if (lower === undefined) return undefined;
    if (lower.startsWith('/')) return chain(plain.resolve(lower.slice(1), request), onlyFolder);
    if (beside === undefined) return undefined;
    return chain(plain.list(beside, request), (listing) => onlyFolder(listing.get(lower)));
  }

  #read(folder: AttributeFolder, name: string, request: LayerRequest): Awaitable<Uint8Array | undefined> {
    return this.#files.read(folder, name, () => this.#edits.add(folder.names.join('/')), request);
  }

  /** Rules of a lower folder that the mount shows elsewhere, or not at all: the repository's, from where they part. */
  async #rulesElsewhere(folder: string, request: LayerRequest): Promise<AttributeRules> {
    const epoch = this.#epoch;
    const names = folder.split('/');
    let rules: AttributeRules | undefined;
    for (let depth = 0; depth <= names.length; depth++) {
      const path = names.slice(0, depth).join('/');
      const place = await this.#place(path, request);
      if (place.isInPlace) {
        rules = place.rules;
        continue;
      }
      const lower = await this.#parts.plain.resolve(path, request);
      const plain: AttributeFolder = { names: names.slice(0, depth), lower, hasUpper: false };
      const gitattributes = await this.#read(plain, GITATTRIBUTES, request);
      rules = rules?.inside(names[depth - 1] ?? '', { gitattributes });
    }
    if (rules === undefined || this.#epoch !== epoch) return this.lowerRules(folder, request.signal);
    this.#known.elsewhere.set(folder, rules);
    return rules;
  }

  #filesAbove(request: LayerRequest): Awaitable<readonly AttributeFiles[]> {
    if (this.#above !== undefined) return this.#above;
    const ask = async (signal: AbortSignal): Promise<readonly AttributeFiles[]> => {
      const files = await this.#parts.above(signal);
      for (const { gitattributes } of files) this.#files.note(gitattributes);
      this.#above = files;
      return files;
    };
    return this.#aboveFlight.run('above', ask, { signal: request.signal });
  }
}

function requestOf(signal: AbortSignal | undefined): LayerRequest {
  return signal === undefined ? {} : { signal };
}
