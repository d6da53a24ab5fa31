// One prefetch over a store and an upstream: what it fetches, what the upper folder changes about that, and its end.
import { constants, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMonorepoLayer } from '../../../src/layers/monorepo.ts';
import type { PrefetchRequest } from '../../../src/mount/mount-host.ts';
import { runPrefetch } from '../../../src/mount/prefetch/prefetch-run.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import type { Snapshot, UpstreamRequest } from '../../../src/upstream/upstream.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { closeFd, openPath, setXattrAt } from '../../../src/util/syscall.ts';
import { MemoryUpstream } from '../../support/memory-upstream.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

const TREE = {
  'a.txt': 'a',
  gone: { 'g.txt': 'g' },
  lib: { 'l.txt': 'l', 'm.txt': 'm', deep: { 'd.txt': 'd' } },
  'z.txt': 'z',
};
const ALL = ['a', 'd', 'g', 'l', 'm', 'z'];

let folder: StoreFolder;
let upperDir: string;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;
let snapshot: Snapshot;
let warnings: string[];

beforeEach(async () => {
  folder = await createStoreFolder();
  upperDir = join(folder.path, 'upper');
  mkdirSync(upperDir);
  upstream = new MemoryUpstream();
  snapshot = upstream.snapshot(upstream.add(TREE));
  warnings = [];
  open(0);
});

afterEach(async () => {
  await objects.close();
  await store.close();
  await folder[Symbol.asyncDispose]();
});

function open(limit: number): void {
  store = openObjectStore(folder.path, { budget: { limit: { bytes: limit }, keepFree: { bytes: 0 } } });
  objects = createLazyObjects({ store, upstream });
}

function run(request: Partial<PrefetchRequest> = {}, signal = new AbortController().signal) {
  const layer = createMonorepoLayer({ snapshot, objects });
  const onWarning = (message: string): void => void warnings.push(message);
  const parts = { snapshot, layer, objects, upperDir, onWarning };
  return runPrefetch(parts, { path: '', ...request }, () => undefined, signal);
}

const stored = (): string[] => ALL.filter((text) => store.hasBlob(hashObject('blob', Buffer.from(text))));
const setAttribute = (path: string, name: string, value: string): void => {
  const fd = openPath(join(upperDir, path), constants.O_RDONLY);
  setXattrAt(fd, '', `user.overlay.${name}`, Buffer.from(value));
  closeFd(fd);
};

test('fetches everything, and counts it', async () => {
  const report = await run();
  expect(report).toMatchObject({ folders: 4, files: 6, fetched: 6, failed: 0, bytes: 6, totalBytes: 6 });
  expect(stored()).toEqual(ALL);
  expect(await run()).toMatchObject({ files: 6, present: 6, fetched: 0 });
});

describe('the upper folder', () => {
  test('hides what it has in another form', async () => {
    // A file where a file was, and one where a folder was.
    writeFileSync(join(upperDir, 'a.txt'), 'mine');
    writeFileSync(join(upperDir, 'gone'), 'mine');
    mkdirSync(join(upperDir, 'lib/deep'), { recursive: true });
    setAttribute('lib/deep', 'opaque', 'y');
    expect(await run()).toMatchObject({ files: 3, fetched: 3 });
    expect(stored()).toEqual(['l', 'm', 'z']);
  });

  test('may hide things as container images do', async () => {
    mkdirSync(join(upperDir, 'lib'));
    for (const name of ['.wh.gone', 'lib/.wh.deep', 'lib/.wh.m.txt']) writeFileSync(join(upperDir, name), '');
    expect(await run()).toMatchObject({ files: 3, fetched: 3 });
    expect(stored()).toEqual(['a', 'l', 'z']);
    writeFileSync(join(upperDir, 'lib/.wh..wh..opq'), '');
    expect(await run()).toMatchObject({ files: 2 });
    await expect(run({ path: 'gone' })).rejects.toMatchObject({ kind: 'invalid' });
  });

  test('may show a lower folder, or the content of a lower file, elsewhere', async () => {
    mkdirSync(join(upperDir, 'moved'));
    setAttribute('moved', 'redirect', '/lib/deep');
    writeFileSync(join(upperDir, 'moved.txt'), '');
    setAttribute('moved.txt', 'metacopy', '');
    setAttribute('moved.txt', 'redirect', '/gone/g.txt');
    expect(await run({ include: ['/moved', '/moved.txt'] })).toMatchObject({ files: 2, fetched: 2 });
    expect(stored()).toEqual(['d', 'g']);
    await expect(run({ path: 'moved.txt' })).rejects.toMatchObject({ kind: 'invalid' });
    expect(await run({ path: 'moved' })).toMatchObject({ files: 1, present: 1 });
  });
});

describe('a pack', () => {
  test('is given up when it passes the room of the store, and the work goes on', async () => {
    await objects.close();
    await store.close();
    open(500_000);
    let given: AbortSignal | undefined;
    upstream.fetchSubtree = async (_path: string, _directory: string, request: FetchRequest = {}) => {
      given = request.signal;
      request.onProgress?.({ objects: 1, totalObjects: 9, bytes: 400_000 });
      expect(given?.aborted).toBe(false);
      request.onProgress?.({ objects: 5, totalObjects: 9, bytes: 600_000 });
      given?.throwIfAborted();
    };
    expect(await run({ pack: 'always' })).toMatchObject({ fetched: 6, usedPack: false });
    expect(given?.aborted).toBe(true);
    expect(warnings).toEqual([
      'the folder does not come as one pack: it takes more than the store has room for',
    ]);
  });

  test('that cannot be had is told of, and the work goes on', async () => {
    expect(await run({ pack: 'always' })).toMatchObject({ fetched: 6, usedPack: false });
    expect(warnings).toEqual(['the folder does not come as one pack: memory: there is no Git interface']);
  });
});

test('a full store ends the work with a way out', async () => {
  await objects.close();
  await store.close();
  open(1);
  await expect(run()).rejects.toThrow('raise store_limit');
});

test('an aborted one ends with the reason, and at once', async () => {
  const giveUp = new AbortController();
  upstream.gate = ({ method }) =>
    method === 'fetchBlobs' ? new Promise(() => giveUp.abort(new Error('enough'))) : undefined;
  await expect(run({}, giveUp.signal)).rejects.toThrow();
  expect(stored()).toEqual([]);
});

test('what is no folder of the mount, or no glob, is refused', async () => {
  await expect(run({ path: 'none' })).rejects.toMatchObject({ kind: 'not-found' });
  await expect(run({ path: 'a.txt' })).rejects.toMatchObject({ kind: 'invalid' });
  await expect(run({ include: ['../x'] })).rejects.toMatchObject({ kind: 'invalid' });
});

type FetchRequest = UpstreamRequest & Parameters<LazyObjects['fetchSubtree']>[1];
