// A folder that is read file by file is fetched ahead of its reader.
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Layer, Listing } from '../../../src/layers/layer.ts';
import { createMonorepoLayer } from '../../../src/layers/monorepo.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { MemoryUpstream, type TreeSource } from '../../support/memory-upstream.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

let folder: StoreFolder;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;

beforeEach(async () => {
  folder = await createStoreFolder();
  store = openObjectStore(folder.path);
  upstream = new MemoryUpstream();
  objects = createLazyObjects({ store, upstream });
});

afterEach(async () => {
  await objects.close();
  await store.close();
  await folder[Symbol.asyncDispose]();
});

const files = (count: number, contentOf = (index: number): string => `content ${index}`): TreeSource =>
  Object.fromEntries(
    Array.from({ length: count }, (_none, index) => [`f${String(index).padStart(5, '0')}`, contentOf(index)]),
  );

async function open(tree: TreeSource): Promise<{ layer: Layer; listing: Listing }> {
  const layer = createMonorepoLayer({ snapshot: upstream.snapshot(upstream.add(tree)), objects });
  const listing = await layer.list(layer.root);
  await layer.loadSizes(listing);
  return { layer, listing };
}

async function readAt(layer: Layer, listing: Listing, index: number): Promise<void> {
  closeSync(await layer.open(listing.at(index)));
}

const calls = (method: string): number => upstream.calls.filter((call) => call.method === method).length;
const fetchedAhead = (): number =>
  upstream.calls.reduce((sum, call) => sum + (call.method === 'fetchBlobs' ? call.ids.length : 0), 0);
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 4));

/** Waits until nothing is fetched, and nothing begins to be; but not for what a test holds back. */
async function settle(): Promise<void> {
  const deadline = performance.now() + 1000;
  for (let quiet = 0; quiet < 2 && performance.now() < deadline;) {
    await pause();
    quiet = upstream.underWay === 0 ? quiet + 1 : 0;
  }
}

test('a single file is fetched alone', async () => {
  const { layer, listing } = await open(files(100));
  await readAt(layer, listing, 50);
  await settle();
  expect(calls('fetchBlob')).toBe(1);
  expect(calls('fetchBlobs')).toBe(0);
});

test('files that are read one after the other are fetched many at once, behind what is waited for', async () => {
  const { layer, listing } = await open(files(1000));
  for (let index = 0; index < 1000; index++) {
    await readAt(layer, listing, index);
    if (index % 10 === 0) await settle();
  }
  expect(calls('fetchBlob') + calls('fetchBlobs')).toBeLessThan(60);
  for (const call of upstream.calls) if (call.method === 'fetchBlobs') expect(call.priority).toBe('prefetch');
});

test('no file is fetched twice, wherever the reader begins', async () => {
  const { layer, listing } = await open(files(200));
  for (let step = 0; step < 200; step++) {
    await readAt(layer, listing, (step + 150) % 200);
    await settle();
  }
  const ids = upstream.calls.flatMap((call) => (call.method.startsWith('fetchBlob') ? call.ids : []));
  expect(new Set(ids).size).toBe(200);
  expect(ids.length).toBe(200);
});

test('the first window is small, and large files are left alone', async () => {
  const { layer, listing } = await open(
    files(100, (index) => (index % 2 === 0 ? `small ${index}` : `${index}`.padEnd(300_000))),
  );
  for (const index of [0, 2]) await readAt(layer, listing, index);
  await settle();
  expect(fetchedAhead()).toBeGreaterThan(0);
  expect(fetchedAhead()).toBeLessThanOrEqual(32);
  for (let index = 3; index < 100; index += 2) expect(store.hasBlob(listing.at(index).id)).toBe(false);
});

test('files of several folders that are read one by one are not fetched ahead', async () => {
  const tree: Record<string, TreeSource> = {};
  for (let index = 0; index < 20; index++) tree[`d${index}`] = files(10, (file) => `${index} ${file}`);
  const { layer, listing } = await open(tree);
  for (let index = 0; index < 20; index++) {
    const inner = await layer.list(listing.at(index));
    await layer.loadSizes(inner);
    await readAt(layer, inner, 0);
  }
  await settle();
  expect(calls('fetchBlobs')).toBe(0);
});

test('a failure ahead of the reader is no failure of the reader', async () => {
  const { layer, listing } = await open(files(100));
  upstream.fault = (call) =>
    call.method === 'fetchBlobs' ? new UpstreamError('server', 'the server fell over') : undefined;
  for (let index = 0; index < 100; index++) await readAt(layer, listing, index);
  expect(calls('fetchBlob')).toBe(100);
});

test('what is under way is given up when the objects are closed', async () => {
  const { layer, listing } = await open(files(100));
  upstream.gate = (call) => (call.method === 'fetchBlobs' ? new Promise(() => undefined) : undefined);
  for (const index of [0, 1]) await readAt(layer, listing, index);
  await objects.close();
  expect(upstream.aborted.length).toBeGreaterThan(0);
});

/** `count` folders of `each` files, all different, known to the layer as after `find`. */
async function openFolders(count: number, each: number): Promise<{ layer: Layer; listings: Listing[] }> {
  const tree: Record<string, TreeSource> = {};
  for (let index = 0; index < count; index++) {
    tree[`d${String(index).padStart(3, '0')}`] = files(each, (file) => `${index} ${file}`);
  }
  const { layer, listing } = await open(tree);
  const listings: Listing[] = [];
  for (let index = 0; index < count; index++) {
    const inner = await layer.list(listing.at(index));
    await layer.loadSizes(inner);
    listings.push(inner);
  }
  return { layer, listings };
}

test.each([1, 2, 5])('who reads through many folders of %i files waits for few of them', async (each) => {
  const { layer, listings } = await openFolders(100, each);
  let waits = 0;
  for (const listing of listings) {
    for (let index = 0; index < each; index++) {
      const fd = layer.open(listing.at(index));
      if (fd instanceof Promise) waits++;
      closeSync(await fd);
    }
    await settle();
  }
  expect(waits).toBeLessThan(20);
  const ids = upstream.calls.flatMap((call) => (call.method.startsWith('fetchBlob') ? call.ids : []));
  // One that was asked for at the same moment may come twice.
  expect(ids.length).toBeLessThanOrEqual(100 * each + 2);
  expect(new Set(ids).size).toBe(100 * each);
});

test('who goes another way than was foreseen is not followed for long', async () => {
  const { layer, listings } = await openFolders(400, 4);
  for (const listing of listings.slice(0, 3))
    for (let index = 0; index < 4; index++) await readAt(layer, listing, index);
  await settle();
  const before = fetchedAhead();
  expect(before).toBeGreaterThan(20);
  for (let step = 0; step < 60; step++) await readAt(layer, listings[399 - step * 5] as Listing, 0);
  await settle();
  expect(fetchedAhead() - before).toBeLessThan(300);
});
