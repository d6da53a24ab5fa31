// A layer over a seed, in memory, that can answer later at random so that the paths that wait are walked too.
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import type { Layer, LayerEntry, LayerRequest, Listing } from '../../src/layers/layer.ts';
import type { ArrivingContent } from '../../src/util/arriving-content.ts';
import { ErrnoError } from '../../src/util/errno.ts';
import type { Awaitable } from '../../src/util/types.ts';
import { SEED_TIME } from './memory-subject.ts';
import { openRandomArrival } from './random-arrival.ts';
import { createRandom } from './random.ts';
import { foldersOf, type SeedNode, type SeedTree } from './seed-tree.ts';

const FOLDER_MODE = 0o040755;
const SYMLINK_MODE = 0o120777;
const SUBMODULE: SeedNode = { kind: 'submodule' };

/** A layer for tests. */
export interface MemoryLayer extends Layer {
  /** Removes its temporary files; throws when a descriptor that it gave out is still open. */
  dispose(): void;
}

/** Answers at once, or (with a seed) at random now, soon or a little later. */
function createDelay(seed: number | undefined): <T>(value: T, request?: LayerRequest) => Awaitable<T> {
  if (seed === undefined) return (value) => value;
  const random = createRandom(seed);
  return (value, request) => {
    const draw = random();
    if (draw < 0.4) return value;
    const wait = async (): Promise<typeof value> => {
      await (draw < 0.9 ? immediate() : sleep(random() * 3));
      if (request?.signal?.aborted === true) throw new ErrnoError('EINTR');
      return value;
    };
    return wait();
  };
}

class SeedListing implements Listing {
  readonly #entries: readonly LayerEntry[];
  readonly #byName: ReadonlyMap<string, LayerEntry>;

  constructor(entries: readonly LayerEntry[]) {
    this.#entries = entries;
    this.#byName = new Map(entries.map((entry) => [entry.name, entry]));
  }

  get length(): number {
    return this.#entries.length;
  }

  at(index: number): LayerEntry {
    const entry = this.#entries[index];
    if (entry === undefined) throw new RangeError(`no entry ${index} of ${this.#entries.length}`);
    return entry;
  }

  get byteLength(): number {
    return this.#entries.length * 100;
  }

  nameAt(index: number): string {
    return this.at(index).name;
  }

  modeAt(index: number): number {
    return this.at(index).mode;
  }

  find(name: string): number {
    const entry = this.#byName.get(name);
    return entry === undefined ? -1 : this.#entries.indexOf(entry);
  }

  get(name: string): LayerEntry | undefined {
    return this.#byName.get(name);
  }
}

function modeOf(node: SeedNode): number {
  if (node.kind === 'submodule') return FOLDER_MODE;
  if (node.kind === 'symlink') return SYMLINK_MODE;
  return node.executable ? 0o100755 : 0o100644;
}

function entryAt(path: string, mode: number): LayerEntry {
  const id = createHash('sha1').update(`${mode} ${path}`, 'latin1').digest('hex');
  return { name: path.slice(path.lastIndexOf('/') + 1), mode, id, path };
}

/** All entries and listings of a seed. */
function buildTree(seed: SeedTree): { entries: Map<string, LayerEntry>; listings: Map<string, SeedListing> } {
  const entries = new Map<string, LayerEntry>([['', entryAt('', FOLDER_MODE)]]);
  const children = new Map<string, LayerEntry[]>([['', []]]);
  const add = (path: string, mode: number): void => {
    const plain = entryAt(path, mode);
    const entry = seed[path]?.kind === 'submodule' ? { ...plain, isSubmodule: true } : plain;
    entries.set(path, entry);
    children.get(path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')?.push(entry);
    if (mode === FOLDER_MODE) children.set(path, []);
  };
  for (const path of foldersOf(seed)) add(path, FOLDER_MODE);
  for (const [path, node] of Object.entries(seed)) add(path, modeOf(node));
  const listings = new Map<string, SeedListing>();
  for (const [path, list] of children) listings.set(path, new SeedListing(list));
  return { entries, listings };
}

/** How a layer differs from one that knows everything. */
export interface MemoryLayerOptions {
  /** Makes it asynchronous at random. */
  readonly delaySeed?: number;
  /** Has what is opened for reading arrive at random. */
  readonly arrivalSeed?: number;
}

/** A layer that shows a seed. */
export function createMemoryLayer(seed: SeedTree, options: MemoryLayerOptions = {}): MemoryLayer {
  const folder = mkdtempSync(join(tmpdir(), 'scorpio-test-layer-'));
  const { entries, listings } = buildTree(seed);
  const later = createDelay(options.delaySeed);
  const known = new Set<string>();
  const nodeOf = (entry: LayerEntry): SeedNode => seed[entry.path] ?? SUBMODULE;
  const sizeOf = (entry: LayerEntry): number => {
    const node = nodeOf(entry);
    if (node.kind === 'file') return node.content.length;
    return node.kind === 'symlink' ? node.target.length : 0;
  };
  const fileOf = (entry: LayerEntry): string => {
    const path = join(folder, entry.id);
    const node = nodeOf(entry);
    if (node.kind !== 'file') throw new Error(`${entry.path} is opened but is not a file`);
    writeFileSync(path, node.content);
    return path;
  };
  const arrivalRandom = options.arrivalSeed === undefined ? undefined : createRandom(options.arrivalSeed);
  let arrivals = 0;
  const openToRead = (entry: LayerEntry): ArrivingContent => {
    const node = nodeOf(entry);
    if (node.kind !== 'file') throw new Error(`${entry.path} is opened but is not a file`);
    return openRandomArrival(
      join(folder, `arrival-${arrivals++}`),
      node.content,
      arrivalRandom ?? Math.random,
    );
  };
  const learn = (entry: LayerEntry): void => void known.add(entry.path);

  return {
    root: entries.get('') as LayerEntry,
    time: SEED_TIME,
    list: (directory, request) => {
      const listing = listings.get(directory.path);
      if (listing === undefined) throw new Error(`${directory.path} is listed but is not a folder`);
      return later<Listing>(listing, request);
    },
    resolve: (path, request) => later(entries.get(path), request),
    knownSize: (entry) =>
      options.delaySeed === undefined || known.has(entry.path) ? sizeOf(entry) : undefined,
    loadSizes: (listing, request) => {
      for (let index = 0; index < listing.length; index++) learn(listing.at(index));
      return later(undefined, request);
    },
    size: (entry, request) => {
      learn(entry);
      return later(sizeOf(entry), request);
    },
    correctSize: () => undefined,
    open: (entry, request) => {
      const opened = later(fileOf(entry), request);
      return opened instanceof Promise ? opened.then((path) => openSync(path, 'r')) : openSync(opened, 'r');
    },
    ...(arrivalRandom === undefined ? {} : { openToRead }),
    readlink: (entry, request) => {
      const node = nodeOf(entry);
      if (node.kind !== 'symlink') throw new Error(`${entry.path} is read as a symlink but is none`);
      return later(Buffer.from(node.target, 'latin1'), request);
    },
    dispose: () => {
      const leaked = openDescriptorsBelow(folder);
      const targets = leaked.map((fd) => readlinkSync(`/proc/self/fd/${fd}`));
      for (const fd of leaked) closeSync(fd);
      rmSync(folder, { recursive: true });
      if (leaked.length > 0) throw new Error(`never closed: ${targets.join(', ')}`);
    },
  };
}

/** Descriptors of this process that are open on files below a folder. */
export function openDescriptorsBelow(folder: string): number[] {
  const below: number[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${folder}/`)) below.push(Number(fd));
    } catch {
      // The descriptor that read the folder itself is closed by now.
    }
  }
  return below;
}
