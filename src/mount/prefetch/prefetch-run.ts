// One prefetch: walks the trees of a folder as the mount shows it, and has their files fetched.
import { setImmediate as yieldTurn } from 'node:timers/promises';
import { MalformedTreeError } from '../../git/raw-tree.ts';
import type { Layer, LayerEntry } from '../../layers/layer.ts';
import { isFolderMode, TreeTable } from '../../layers/tree-table.ts';
import type { LazyObjects } from '../../objects/lazy-objects.ts';
import type { SubtreePack } from '../../objects/subtree-pack.ts';
import { UpperChanges, type UpperChange } from '../../overlay/upper-changes.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import type { Snapshot } from '../../upstream/upstream.ts';
import type { Awaitable, ObjectId } from '../../util/types.ts';
import { linkAbort } from '../../util/abort-link.ts';
import { createPathFilter, type FilterState, type PathFilter } from '../../util/path-filter.ts';
import { MountError } from '../mount-error.ts';
import type { PrefetchProgress, PrefetchReport, PrefetchRequest } from '../mount-host.ts';
import { BlobQueue } from './blob-queue.ts';
import {
  findFolder,
  joinPath,
  namesOf,
  resolveLower,
  type LowerFolder,
  type LowerView,
} from './lower-folder.ts';
import { isPackWorthwhile } from './pack-rule.ts';
import { PrefetchTally } from './prefetch-tally.ts';

/** Folders whose trees are asked for together. */
const FOLDERS_AT_ONCE = 256;
/** Folders after which everybody else has a turn. */
const FOLDERS_A_TURN = 16;

/** A file that a prefetch meets, which the lower layer has. */
export interface FoundFile {
  /** Path in the mount, latin1. */
  readonly path: string;
  /** Of the lower layer, with its path there. */
  readonly entry: LayerEntry;
  /** Bytes, where that is known. */
  readonly size: number | undefined;
}

/** What is prefetched from, and for. */
export interface PrefetchParts {
  readonly snapshot: Snapshot;
  readonly layer: Layer;
  readonly objects: LazyObjects;
  readonly upperDir: string;
  /** Told once when a pack was wanted and did not come. */
  readonly onWarning: (message: string) => void;
  /** Asked with the path of each lower folder; what it returns says which of the files there are wanted. Default: all. */
  readonly choose?: (folder: string) => Awaitable<(file: FoundFile) => boolean>;
}

type Choice = (file: FoundFile) => boolean;
const ALL: Choice = () => true;

/** A folder that is to be looked into. */
interface Waiting extends LowerFolder {
  /** Levels that are left below it. */
  readonly depth: number;
  readonly filter: FilterState;
}

/** Does it. Rejects with MountError before anything was reported, and as the objects do; settles when all is quiet. */
export async function runPrefetch(
  parts: PrefetchParts,
  request: PrefetchRequest,
  report: (progress: PrefetchProgress) => void,
  signal: AbortSignal,
): Promise<PrefetchReport> {
  const filter = filterOf(request);
  const view = { layer: parts.layer, upper: new UpperChanges(parts.upperDir), signal };
  const folder = await findFolder(view, Buffer.from(request.path).toString('latin1'));
  const state = startOf(filter, parts.snapshot.path, folder.path, request);
  const batches = await parts.objects.batches();
  const tally = new PrefetchTally(report);
  tally.tell();
  const run = new PrefetchRun(parts, request, { view, filter, tally, batches, folder });
  try {
    if (state !== undefined) {
      await run.walk({ ...folder, depth: request.depth ?? Infinity, filter: state });
    }
    tally.isCounting = false;
    return tally.result();
  } finally {
    tally.end();
    await run.close();
  }
}

function filterOf({ include = [], exclude = [] }: PrefetchRequest): PathFilter {
  try {
    return createPathFilter(include, exclude);
  } catch (error) {
    throw new MountError('invalid', (error as Error).message, { cause: error });
  }
}

/** Where the globs stand at the folder; undefined when nothing in it can be wanted. */
function startOf(
  filter: PathFilter,
  repositoryPath: string,
  folder: string,
  { globsFrom = 'folder' }: PrefetchRequest,
): FilterState | undefined {
  let state: FilterState | undefined = filter.start;
  if (globsFrom === 'folder') return state;
  for (const name of namesOf(`${repositoryPath}/${folder}`)) {
    if (state !== undefined) state = filter.enter(state, name);
  }
  return state;
}

class PrefetchRun {
  readonly #parts: PrefetchParts;
  readonly #request: PrefetchRequest;
  readonly #view: LowerView;
  readonly #filter: PathFilter;
  readonly #tally: PrefetchTally;
  readonly #queue: BlobQueue;
  /** Repository path of the folder, where it may come as a pack. */
  readonly #packPath: string | undefined;
  readonly #batchesBlobs: boolean;
  readonly #waiting: Waiting[] = [];
  #pack: SubtreePack | undefined;
  #triedPack = false;
  #missingTrees = 0;
  #storedTrees = 0;
  #missingBlobs = 0;

  constructor(
    parts: PrefetchParts,
    request: PrefetchRequest,
    found: {
      view: LowerView;
      filter: PathFilter;
      tally: PrefetchTally;
      batches: { blobs: boolean; sizes: boolean };
      folder: LowerFolder;
    },
  ) {
    const { view, filter, tally, batches, folder } = found;
    this.#parts = parts;
    this.#request = request;
    this.#view = view;
    this.#filter = filter;
    this.#tally = tally;
    this.#batchesBlobs = batches.blobs;
    const isWhole = request.depth === undefined && filter.wantsAll && request.dryRun !== true;
    if (isWhole && folder.lower !== undefined) {
      this.#packPath = `/${[...namesOf(parts.snapshot.path), ...namesOf(folder.lower.path)].join('/')}`;
    }
    this.#queue = new BlobQueue({
      objects: parts.objects,
      tally,
      dryRun: request.dryRun === true,
      batchesSizes: batches.sizes,
      pack: () => this.#pack,
      signal: view.signal,
    });
  }

  /** Looks into a folder and everything below it. */
  async walk(start: Waiting): Promise<void> {
    this.#waiting.push(start);
    while (this.#waiting.length > 0) {
      await this.#considerPack();
      // The last come first: what waits stays short.
      const folders = this.#waiting.splice(-FOLDERS_AT_ONCE);
      await this.#loadTrees(folders);
      for (const [index, folder] of folders.entries()) {
        if (index % FOLDERS_A_TURN === 0) await yieldTurn();
        await this.#look(folder);
        await this.#considerPack();
        await this.#queue.proceed();
      }
    }
    await this.#considerPack();
    this.#tally.isCounting = false;
    await this.#queue.finish();
  }

  /** Ends everything that is under way, and removes the pack. */
  async close(): Promise<void> {
    await this.#queue.settle();
    await this.#pack?.close();
  }

  /** Asks for the trees that the store lacks. One that cannot be had is met again when its folder is looked into. */
  async #loadTrees(folders: readonly Waiting[]): Promise<void> {
    const { objects } = this.#parts;
    const { signal } = this.#view;
    const missing = new Map<ObjectId, LayerEntry>();
    for (const { lower } of folders) {
      if (lower === undefined || lower.isSubmodule === true) continue;
      if (objects.hasTree(lower.id)) this.#storedTrees++;
      else missing.set(lower.id, lower);
    }
    this.#missingTrees += missing.size;
    if (missing.size === 0) return;
    await this.#pack?.takeTrees([...missing.keys()], signal);
    const wanted = [...missing.values()].map(({ id, path }) => ({ id, location: this.#locate(path) }));
    await objects.prefetchTrees(wanted, () => undefined, { signal, priority: 'prefetch' });
  }

  #locate(path: string): { snapshot: Snapshot; path: string } {
    return { snapshot: this.#parts.snapshot, path };
  }

  async #look(folder: Waiting): Promise<void> {
    this.#tally.folders++;
    const { lower, hasUpper } = folder;
    const changes = hasUpper ? this.#view.upper.in(namesOf(folder.path)) : undefined;
    const table = lower === undefined || lower.isSubmodule === true ? undefined : await this.#table(folder);
    const length = table?.length ?? 0;
    const choice = length === 0 ? ALL : await this.#choose(lower?.path ?? '');
    for (let index = 0; index < length; index++) {
      const name = (table as TreeTable).name(index);
      if (changes?.has(name) !== true) this.#found(folder, table as TreeTable, index, name, choice);
    }
    for (const [name, change] of changes ?? []) await this.#changed(folder, name, change);
    this.#tally.changed();
  }

  /** The tree of a folder; undefined, and noted as a failure, when it cannot be had. */
  async #table({ lower, path }: Waiting): Promise<TreeTable | undefined> {
    const { objects } = this.#parts;
    const { signal } = this.#view;
    const { id, path: lowerPath } = lower as LayerEntry;
    try {
      const tree = await objects.tree(id, this.#locate(lowerPath), { signal, priority: 'prefetch' });
      return new TreeTable(tree.payload, tree.sizes);
    } catch (error) {
      const isOne =
        error instanceof MalformedTreeError ||
        (error instanceof UpstreamError && !['unreachable', 'timeout', 'aborted'].includes(error.kind));
      if (!isOne) throw error;
      this.#tally.fail(path === '' ? '.' : path, error, 1);
      return undefined;
    }
  }

  /** An entry of the lower layer that nothing of the upper one concerns. */
  #found(folder: Waiting, table: TreeTable, index: number, name: string, choice: Choice): void {
    const path = joinPath(folder.path, name);
    if (table.isSubmodule(index)) return;
    const isBlob = table.isBlob(index);
    if (isBlob && !this.#filter.wantsFile(folder.filter, name)) return;
    const lowerPath = joinPath(folder.lower?.path ?? '', name);
    const lower = { name, mode: table.mode(index), id: table.id(index), path: lowerPath };
    if (isBlob) this.#want({ path, entry: lower, size: table.size(index) }, choice);
    else this.#enter(folder, name, { path, lower, hasUpper: false });
  }

  async #choose(folder: string): Promise<Choice> {
    return (await this.#parts.choose?.(folder)) ?? ALL;
  }

  /** Something that the upper layer has: what is hidden needs no fetch, and what was moved here does. */
  async #changed(folder: Waiting, name: string, change: UpperChange): Promise<void> {
    if (change.shows === 'hidden') return;
    const path = joinPath(folder.path, name);
    const lower = await resolveLower(this.#view, folder.lower, change.lower);
    if (change.shows === 'folder') {
      const isFolder = lower !== undefined && isFolderMode(lower.mode);
      this.#enter(folder, name, { path, lower: isFolder ? lower : undefined, hasUpper: true });
    } else if (lower !== undefined && this.#filter.wantsFile(folder.filter, name)) {
      const choice = await this.#choose(lower.path.slice(0, Math.max(0, lower.path.lastIndexOf('/'))));
      this.#want({ path, entry: lower, size: this.#parts.layer.knownSize(lower) }, choice);
    }
  }

  #enter(parent: Waiting, name: string, folder: LowerFolder): void {
    if (parent.depth < 1) return;
    const filter = this.#filter.enter(parent.filter, name);
    if (filter !== undefined) this.#waiting.push({ ...folder, depth: parent.depth - 1, filter });
  }

  #want(file: FoundFile, choice: Choice): void {
    if (!choice(file)) return;
    const { path, size } = file;
    const { id } = file.entry;
    this.#tally.files++;
    if (this.#parts.objects.hasBlob(id)) {
      this.#tally.present++;
      return;
    }
    this.#missingBlobs++;
    this.#queue.add(id, path, size);
  }

  /** Fetches the folder as a pack, once, when that is wanted or worthwhile. Without it the work goes on as before. */
  async #considerPack(): Promise<void> {
    const { pack: wish = 'auto' } = this.#request;
    const path = this.#packPath;
    if (this.#triedPack || path === undefined || wish === 'never') return;
    const evidence = {
      missingTrees: this.#missingTrees,
      missingBlobs: this.#missingBlobs,
      storedTrees: this.#storedTrees,
      storedBlobs: this.#tally.present,
      batchesBlobs: this.#batchesBlobs,
    };
    if (wish === 'auto' && !isPackWorthwhile(evidence)) return;
    this.#triedPack = true;
    await this.#fetchPack(path);
  }

  async #fetchPack(path: string): Promise<void> {
    const { objects, onWarning } = this.#parts;
    const { signal } = this.#view;
    // What is packed takes more when it is taken out.
    const room = objects.room.left;
    const link = linkAbort(signal);
    try {
      this.#pack = await objects.fetchSubtree(path, {
        signal: link.signal,
        onProgress: (progress) => {
          this.#tally.pack = progress;
          if (progress.bytes > room) link.abort(new Error('it takes more than the store has room for'));
        },
      });
      this.#tally.usedPack = true;
    } catch (error) {
      signal.throwIfAborted();
      const { message } = (link.signal.aborted ? link.signal.reason : error) as Error;
      onWarning(`the folder does not come as one pack: ${message}`);
    } finally {
      this.#tally.pack = undefined;
      link.unlink();
    }
  }
}
