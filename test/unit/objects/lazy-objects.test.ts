// Store and upstream together: one fetch for all, abort, faults, prefetching.
import { closeSync, truncateSync, unlinkSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { EMPTY_BLOB_ID, EMPTY_TREE_ID } from '../../../src/util/git-hash.ts';
import { createGate, MemoryUpstream } from '../../support/memory-upstream.ts';
import { createStoreFolder, readOpenFile, type StoreFolder } from '../../support/store-folder.ts';

let folder: StoreFolder;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;
let warnings: string[];

beforeEach(async () => {
  folder = await createStoreFolder();
  warnings = [];
  store = openObjectStore(folder.path, { onWarning: (message) => warnings.push(message) });
  upstream = new MemoryUpstream();
  objects = createLazyObjects({ store, upstream });
});

afterEach(async () => {
  await objects.close();
  await store.close();
  expect(folder.temporaryFiles()).toEqual([]);
  await folder[Symbol.asyncDispose]();
});

const location = () => ({ snapshot: upstream.snapshot('a'.repeat(40)), path: '' });

const open = async (id: string, signal?: AbortSignal): Promise<number> =>
  objects.openBlob(id, signal === undefined ? {} : { signal });

async function read(id: string, options: Parameters<LazyObjects['openBlob']>[1] = {}): Promise<Buffer> {
  const fd = await objects.openBlob(id, options);
  try {
    return readOpenFile(fd);
  } finally {
    closeSync(fd);
  }
}

/** Lets everything that is ready run. */
const settle = () => new Promise((resolve) => void setTimeout(resolve, 10));

describe('blobs', () => {
  test('32 who open the same cold blob cost one fetch, and get descriptors of their own', async () => {
    const content = randomBytes(200_000);
    const id = upstream.addBlob(content);
    const opened = Array.from({ length: 32 }, () => open(id));
    const fds = await Promise.all(opened);
    expect(new Set(fds).size).toBe(32);
    for (const fd of fds) {
      expect(readOpenFile(fd).equals(content)).toBe(true);
      closeSync(fd);
    }
    expect(upstream.count('fetchBlob')).toBe(1);
    expect(objects.knownSize(id)).toBe(200_000);
    expect(objects.counters()).toMatchObject({ blobsFetched: 1, bytesFetched: 200_000 });
  });

  test('a stored blob is a value, costs no request, and is there while the server is dead', async () => {
    const id = upstream.addBlob('kept');
    await read(id);
    upstream.fault = () => new UpstreamError('unreachable', 'dead');
    const fd = objects.openBlob(id);
    expect(typeof fd).toBe('number');
    closeSync(fd as number);
    expect(upstream.calls).toHaveLength(1);
    expect(objects.counters().blobHits).toBe(1);
  });

  test('a failure is told and not remembered', async () => {
    const id = upstream.addBlob('later');
    upstream.fault = () => new UpstreamError('timeout', 'slow');
    await expect(objects.openBlob(id)).rejects.toMatchObject({ kind: 'timeout' });
    upstream.fault = undefined;
    expect(String(await read(id))).toBe('later');
    await expect(objects.openBlob('b'.repeat(40))).rejects.toMatchObject({ kind: 'not-found' });
  });

  test.each([[true], [false]])(
    'wrong bytes are refused even when the upstream does not check (size told: %s)',
    async (tellsSize) => {
      const id = upstream.addBlob('right');
      upstream.tellsSize = tellsSize;
      upstream.tamper = () => Buffer.from('wrong');
      await expect(objects.openBlob(id)).rejects.toMatchObject({ kind: 'corrupt' });
      upstream.tamper = (_id, bytes) => bytes.subarray(0, 3);
      await expect(objects.openBlob(id)).rejects.toMatchObject({ kind: 'corrupt' });
      upstream.tamper = undefined;
      expect(String(await read(id))).toBe('right');
    },
  );

  test('a file that was damaged on the disk is fetched again', async () => {
    const id = upstream.addBlob('whole content');
    await read(id);
    truncateSync(folder.blobPath(id), 5);
    expect(String(await read(id))).toBe('whole content');
    unlinkSync(folder.blobPath(id));
    expect(String(await read(id))).toBe('whole content');
    expect(upstream.count('fetchBlob')).toBe(3);
    expect(warnings).toHaveLength(1);
  });

  test('the empty blob needs no server', async () => {
    expect(await read(EMPTY_BLOB_ID)).toHaveLength(0);
    expect(objects.knownSize(EMPTY_BLOB_ID)).toBe(0);
    expect(objects.loadSizes([EMPTY_BLOB_ID])).toBeUndefined();
    expect(upstream.calls).toEqual([]);
  });

  test('who gives up does not disturb the others; when all gave up, the fetch is aborted and leaves nothing', async () => {
    const id = upstream.addBlob(randomBytes(200_000));
    const gate = createGate();
    upstream.midway = () => gate.opened;
    const [first, second] = [new AbortController(), new AbortController()];
    const waits = Promise.allSettled([first, second].map(({ signal }) => open(id, signal)));
    await settle();
    expect(folder.temporaryFiles()).toHaveLength(1);
    first.abort();
    await settle();
    expect(upstream.aborted).toEqual([]);
    second.abort();
    expect((await waits).map((wait) => (wait as PromiseRejectedResult).reason as unknown)).toEqual([
      expect.objectContaining({ kind: 'aborted' }),
      expect.objectContaining({ kind: 'aborted' }),
    ]);
    await settle();
    expect(upstream.aborted).toEqual([id]);
    expect(folder.temporaryFiles()).toEqual([]);
    gate.open();
    expect(await read(id)).toHaveLength(200_000);
  });

  test('many who wait with the same signal cause no warning of the runtime', async () => {
    const emitted: Error[] = [];
    const listen = (warning: Error): void => void emitted.push(warning);
    process.on('warning', listen);
    const id = upstream.addBlob('popular');
    const { signal } = new AbortController();
    for (const fd of await Promise.all(Array.from({ length: 100 }, () => open(id, signal)))) closeSync(fd);
    await settle();
    process.off('warning', listen);
    expect(emitted).toEqual([]);
  });

  test('closing aborts what is under way, and refuses what comes later', async () => {
    const id = upstream.addBlob('never');
    const tree = upstream.add({ a: 'b' });
    upstream.gate = () => new Promise(() => undefined);
    const waits = Promise.allSettled([
      objects.openBlob(id),
      objects.tree(tree, location()),
      objects.loadSizes([id]),
      objects.prefetchBlobs([upstream.addBlob('x')]),
    ]);
    await settle();
    await objects.close();
    for (const wait of await waits)
      expect(wait).toMatchObject({ status: 'rejected', reason: { kind: 'aborted' } });
    await expect(objects.openBlob(id)).rejects.toMatchObject({ kind: 'aborted' });
    await expect(objects.tree(tree, location())).rejects.toMatchObject({ kind: 'aborted' });
    expect(upstream.calls).toHaveLength(4);
  });
});

describe('trees', () => {
  test('are fetched once for all, kept, and afterwards a value', async () => {
    const id = upstream.add({ file: 'content' });
    const [first, second] = await Promise.all([objects.tree(id, location()), objects.tree(id, location())]);
    expect(first).toBe(second);
    expect(objects.tree(id, location())).toEqual(first);
    expect(upstream.count('fetchTree')).toBe(1);
    expect(objects.counters()).toMatchObject({ treesFetched: 1, treeHits: 1 });
  });

  test('wrong bytes are refused', async () => {
    const id = upstream.add({ file: 'content' });
    upstream.tamper = () => Buffer.alloc(0);
    await expect(objects.tree(id, location())).rejects.toMatchObject({ kind: 'corrupt' });
  });

  test('the empty tree needs no server', () => {
    expect(objects.tree(EMPTY_TREE_ID, location())).toMatchObject({ payload: { length: 0 } });
  });

  test('a demand does not wait behind a prefetch of the same tree', async () => {
    const id = upstream.add({ file: 'content' });
    const gate = createGate();
    upstream.gate = ({ priority }) => (priority === 'prefetch' ? gate.opened : undefined);
    const ahead = objects.tree(id, location(), { priority: 'prefetch' });
    expect((await objects.tree(id, location())).payload).toHaveLength(31 + 1);
    gate.open();
    await ahead;
    expect(upstream.calls.map(({ priority }) => priority)).toEqual(['prefetch', 'demand']);
  });
});

describe('sizes', () => {
  test('only what is unknown is asked for, in one request', async () => {
    const ids = ['a', 'bb', 'ccc'].map((text) => upstream.addBlob(text));
    await objects.loadSizes(ids.slice(0, 1));
    await objects.loadSizes([...ids, ...ids]);
    expect(upstream.calls.map((call) => call.ids)).toEqual([ids.slice(0, 1), ids.slice(1)]);
    expect(ids.map((id) => objects.knownSize(id))).toEqual([1, 2, 3]);
    expect(objects.loadSizes(ids)).toBeUndefined();
  });

  test('requests that overlap share what they have in common', async () => {
    const ids = ['a', 'bb', 'ccc'].map((text) => upstream.addBlob(text));
    await Promise.all([
      objects.loadSizes(ids.slice(0, 2)),
      objects.loadSizes(ids.slice(1)),
      objects.loadSizes(ids),
    ]);
    expect(upstream.calls.map((call) => call.ids)).toEqual([ids.slice(0, 2), ids.slice(2)]);
    expect(objects.counters().sizesFetched).toBe(3);
  });

  test('a blob that the server lost stays unknown and does not spoil the others', async () => {
    const id = upstream.addBlob('there');
    await objects.loadSizes([id, 'b'.repeat(40)]);
    expect([objects.knownSize(id), objects.knownSize('b'.repeat(40))]).toEqual([5, undefined]);
  });

  test('giving up aborts the request when nobody else waits for it', async () => {
    const id = upstream.addBlob('there');
    upstream.gate = () => new Promise(() => undefined);
    const controller = new AbortController();
    const loading = objects.loadSizes([id], { signal: controller.signal });
    controller.abort();
    await expect(loading).rejects.toMatchObject({ kind: 'aborted' });
    expect(upstream.aborted).toEqual([id]);
    expect(
      await Promise.allSettled([objects.loadSizes([id], { signal: AbortSignal.abort() })]),
    ).toMatchObject([{ status: 'rejected' }]);
    expect(upstream.calls).toHaveLength(1);
  });
});

describe('prefetching', () => {
  test('fetches what is missing in one request, and says what it could not have', async () => {
    const ids = ['a', 'b', 'c'].map((text) => upstream.addBlob(text));
    await read(ids[0] ?? '');
    const result = await objects.prefetchBlobs([...ids, 'b'.repeat(40)]);
    expect(result).toMatchObject({ fetched: 2, skipped: 1 });
    expect([...result.failed.keys()]).toEqual(['b'.repeat(40)]);
    expect(upstream.calls.at(-1)).toMatchObject({ method: 'fetchBlobs', priority: 'prefetch' });
    for (const id of ids) await read(id);
    expect(upstream.calls).toHaveLength(2);
    expect(objects.counters()).toMatchObject({ blobsFetched: 3 });
  });

  test('wrong bytes of one blob are refused, the others are kept', async () => {
    const ids = ['a', 'b'].map((text) => upstream.addBlob(text));
    upstream.tamper = (id, bytes) => (id === ids[0] ? Buffer.from('z') : bytes);
    const result = await objects.prefetchBlobs(ids);
    expect(result.failed.get(ids[0] ?? '')).toMatchObject({ kind: 'corrupt' });
    expect(result.fetched).toBe(1);
    expect(store.hasBlob(ids[0] ?? '')).toBe(false);
  });

  test('a demand does not wait for a prefetch that has not begun', async () => {
    const id = upstream.addBlob('wanted now');
    const gate = createGate();
    upstream.gate = ({ priority }) => (priority === 'prefetch' ? gate.opened : undefined);
    const ahead = objects.prefetchBlobs([id]);
    expect(String(await read(id))).toBe('wanted now');
    gate.open();
    expect(await ahead).toMatchObject({ fetched: 1 });
    expect(String(await read(id))).toBe('wanted now');
  });

  test('a demand joins a prefetch whose bytes are arriving', async () => {
    const content = randomBytes(200_000);
    const id = upstream.addBlob(content);
    const gate = createGate();
    upstream.midway = () => gate.opened;
    const ahead = objects.prefetchBlobs([id]);
    await settle();
    const demand = read(id);
    await settle();
    gate.open();
    expect((await demand).equals(content)).toBe(true);
    await ahead;
    expect(upstream.calls).toHaveLength(1);
  });

  test('a demand fetches by itself when a prefetch stalls, or dies, in the middle', async () => {
    const ids = [upstream.addBlob(randomBytes(200_000)), upstream.addBlob(randomBytes(200_001))];
    for (const [index, end] of (['stall', 'die'] as const).entries()) {
      const controller = new AbortController();
      let first = true;
      upstream.midway = () => {
        if (!first) return undefined;
        first = false;
        return new Promise(() => undefined);
      };
      const ahead = Promise.allSettled([
        objects.prefetchBlobs([ids[index] ?? ''], { signal: controller.signal }),
      ]);
      await settle();
      const demand = read(ids[index] ?? '');
      if (end === 'die') controller.abort();
      expect(await demand).toHaveLength(200_000 + index);
      controller.abort();
      expect((await ahead)[0]).toMatchObject({ status: 'rejected', reason: { kind: 'aborted' } });
    }
    expect(upstream.count('fetchBlob')).toBe(2);
  });
});
