// Folders ahead of a program that walks through them.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Layer, LayerEntry, Listing } from '../../../src/layers/layer.ts';
import { createMonorepoLayer } from '../../../src/layers/monorepo.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { createGate, MemoryUpstream, type TreeSource } from '../../support/memory-upstream.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

let folder: StoreFolder;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;

beforeEach(async () => {
  folder = await createStoreFolder();
  store = openObjectStore(folder.path);
  upstream = new MemoryUpstream();
  upstream.sizesTrees = true;
  objects = createLazyObjects({ store, upstream });
});

afterEach(async () => {
  await objects.close();
  await store.close();
  await folder[Symbol.asyncDispose]();
});

/** `width` folders in each folder, `depth` levels of them, and a file in each that no other folder has. */
function folders(width: number, depth: number, path = 'root'): TreeSource {
  const tree: Record<string, TreeSource | string> = { file: path };
  for (let index = 0; depth > 0 && index < width; index++) {
    const name = `d${String(index).padStart(3, '0')}`;
    tree[name] = folders(width, depth - 1, `${path}/${name}`);
  }
  return tree;
}

const createLayer = (source: TreeSource): Layer =>
  createMonorepoLayer({ snapshot: upstream.snapshot(upstream.add(source)), objects });

const settle = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 5));

const entriesOf = (listing: Listing): LayerEntry[] =>
  Array.from({ length: listing.length }, (_none, index) => listing.at(index));

/** Walks as find does; resolves with the number of folders, and how many of them had to be waited for. */
async function walk(layer: Layer, at = layer.root): Promise<{ folders: number; waits: number }> {
  const listed = layer.list(at);
  const sum = { folders: 1, waits: listed instanceof Promise ? 1 : 0 };
  for (const entry of entriesOf(await listed)) {
    if (entry.mode !== 0o040755) {
      expect(layer.knownSize(entry)).toBeGreaterThan(0);
      continue;
    }
    const below = await walk(layer, entry);
    sum.folders += below.folders;
    sum.waits += below.waits;
  }
  return sum;
}

const asked = (): string[] => upstream.calls.flatMap(({ ids }) => ids);

test('a walk through a thousand folders takes few requests, behind what is waited for, and asks for none twice', async () => {
  const layer = createLayer(folders(10, 3));
  const { folders: count, waits } = await walk(layer);
  expect(count).toBe(1111);
  expect(waits).toBeLessThan(100);
  expect(upstream.calls.length).toBeLessThan(60);
  expect(new Set(asked()).size).toBe(asked().length);
  for (const call of upstream.calls) if (call.method === 'fetchTrees') expect(call.priority).toBe('prefetch');
});

test('a walk through a flat folder looks further ahead the further it comes, within bounds', async () => {
  const layer = createLayer(folders(3000, 1));
  await walk(layer);
  const batches = upstream.calls.filter(({ method }) => method === 'fetchTrees').map(({ ids }) => ids.length);
  expect(batches[0]).toBeLessThanOrEqual(16);
  expect(Math.max(...batches)).toBeGreaterThan(200);
  expect(Math.max(...batches)).toBeLessThanOrEqual(512);
});

test('a walk goes on beyond the folder in which it was noticed', async () => {
  const layer = createLayer({ a: folders(20, 1, 'a'), b: folders(20, 1, 'b'), c: folders(20, 1, 'c') });
  const { waits } = await walk(layer);
  expect(waits).toBeLessThan(12);
});

test('a path is fetched folder by folder, and nothing beside it', async () => {
  const layer = createLayer(folders(5, 3));
  expect(await layer.resolve('d003/d002/d001/file')).toBeDefined();
  await settle();
  expect(upstream.count('fetchTree')).toBe(4);
  expect(upstream.count('fetchTrees')).toBe(0);
});

test('a walker that turns away leaves the rest alone', async () => {
  const layer = createLayer(folders(400, 1));
  const entries = entriesOf(await layer.list(layer.root)).filter(({ mode }) => mode === 0o040755);
  for (const entry of entries.slice(0, 3)) await layer.list(entry);
  await settle();
  expect(asked().length).toBeLessThan(40);
});

test('who needs a folder that is on its way waits for it, but not for ever', async () => {
  const layer = createLayer(folders(30, 1));
  const gate = createGate();
  upstream.gate = ({ method }) => (method === 'fetchTrees' ? gate.opened : undefined);
  const entries = entriesOf(await layer.list(layer.root)).filter(({ mode }) => mode === 0o040755);
  for (const entry of entries.slice(0, 2)) await layer.list(entry);
  const waiting = layer.list(entries[2] as LayerEntry);
  await settle();
  expect(upstream.count('fetchTree')).toBe(3);
  gate.open();
  expect((await waiting).length).toBe(1);
  expect(upstream.count('fetchTree')).toBe(3);
  upstream.gate = ({ method }) => (method === 'fetchTrees' ? new Promise(() => undefined) : undefined);
  const before = Date.now();
  for (const entry of entries.slice(3)) await layer.list(entry);
  expect(Date.now() - before).toBeLessThan(8000);
});

test('a failure ahead of the walker is no failure of the walker', async () => {
  const layer = createLayer(folders(50, 1));
  upstream.fault = ({ method }) =>
    method === 'fetchTrees' ? new UpstreamError('server', 'the server fell over') : undefined;
  expect((await walk(layer)).folders).toBe(51);
});

test('where trees come without sizes, those of many folders are asked for together', async () => {
  upstream.sizesTrees = false;
  const layer = createLayer(folders(40, 1));
  const entries = entriesOf(await layer.list(layer.root)).filter(({ mode }) => mode === 0o040755);
  for (const entry of entries.slice(0, 2)) await layer.list(entry);
  await settle();
  const listing = await layer.list(entries[10] as LayerEntry);
  expect(layer.knownSize(listing.at(0))).toBe('root/d010'.length);
  expect(upstream.calls.find(({ method }) => method === 'fetchSizes')?.ids.length).toBeGreaterThan(10);
  expect(store.tree((entries[10] as LayerEntry).id)?.sizes).toBeDefined();
});

test('what a walk fetched is there for later mounts, sizes included, without a request', async () => {
  const source = folders(6, 2);
  await walk(createLayer(source));
  await settle();
  upstream.fault = () => new UpstreamError('unreachable', 'dead');
  expect(await walk(createLayer(source))).toEqual({ folders: 43, waits: 0 });
});
