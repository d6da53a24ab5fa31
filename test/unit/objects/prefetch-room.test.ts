// Fetching ahead into a store with a budget: how much, and what goes for it.
import { existsSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { createLazyObjects } from '../../../src/objects/lazy-objects.ts';
import type { ObjectStore } from '../../../src/objects/object-store.ts';
import { MemoryUpstream } from '../../support/memory-upstream.ts';
import {
  MEGABYTE,
  BLOB_BYTES,
  folder,
  contentOf,
  idOf,
  open,
  close,
  ageAll,
  present,
  fillStore,
} from './budget-fixture.ts';

describe('fetching ahead', () => {
  const fetchAhead = async (store: ObjectStore, from: number, count: number) => {
    const upstream = new MemoryUpstream();
    await using objects = createLazyObjects({ store, upstream });
    const ids = Array.from({ length: count }, (_, nth) => upstream.addBlob(contentOf(from + nth)));
    store.putSizes(ids.map((id) => [id, BLOB_BYTES]));
    return await objects.prefetchBlobs(ids);
  };

  test('stops at the limit, and does not displace what it fetched', async () => {
    const store = open(MEGABYTE);
    const first = await fetchAhead(store, 0, 30);
    expect(first.fetched).toBeGreaterThan(5);
    expect(first.fetched).toBeLessThan(10);
    expect(first.leftOut).toBe(30 - first.fetched);
    const second = await fetchAhead(store, 100, 10);
    expect(second).toMatchObject({ fetched: 0, leftOut: 10 });
    expect(present(30)).toEqual(Array.from({ length: first.fetched }, (_, number) => number));
  });

  test('displaces what nobody used for an hour', async () => {
    await fillStore(10);
    const store = open(MEGABYTE);
    const { fetched } = await fetchAhead(store, 100, 5);
    expect(fetched).toBe(5);
    await vi.waitFor(() => expect(present(10).length).toBeLessThan(6), { timeout: 10_000 });
    for (let number = 100; number < 105; number++) {
      expect(existsSync(folder.blobPath(idOf(number)))).toBe(true);
    }
  });
});

describe('fetching ahead by several at once', () => {
  const SMALL = 4096;
  /** Of blobs whose size nobody knows, the store takes fewer at a time than it has room for. */
  const addBlobs = (upstream: MemoryUpstream, count: number): string[] =>
    Array.from({ length: count }, (_, number) => upstream.addBlob(contentOf(number, SMALL)));

  test('fetches nothing twice where they want the same', async () => {
    const store = open(MEGABYTE);
    const upstream = new MemoryUpstream();
    await using objects = createLazyObjects({ store, upstream });
    const ids = addBlobs(upstream, 60);
    const results = await Promise.all(
      [ids, ids.slice(16), ids.toReversed()].map((some) =>
        objects.prefetchBlobs(some, { waitsForRoom: true }),
      ),
    );
    expect(results.map(({ failed, leftOut }) => failed.size + leftOut)).toEqual([0, 0, 0]);
    expect(results.reduce((sum, { fetched }) => sum + fetched, 0)).toBe(60);
    expect(present(60, SMALL)).toHaveLength(60);
    expect(upstream.calls.flatMap((call) => call.ids)).toHaveLength(60);
    expect(folder.temporaryFiles()).toEqual([]);
  });

  test('counts the room once for all', async () => {
    const store = open(MEGABYTE);
    const upstream = new MemoryUpstream();
    await using objects = createLazyObjects({ store, upstream });
    const ids = Array.from({ length: 20 }, (_, number) => upstream.addBlob(contentOf(number)));
    const sizeOf = (): number => BLOB_BYTES;
    const results = await Promise.all([
      objects.prefetchBlobs(ids.slice(0, 10), { sizeOf }),
      objects.prefetchBlobs(ids.slice(10), { sizeOf }),
    ]);
    const fetched = results.reduce((sum, result) => sum + result.fetched, 0);
    expect(fetched).toBeGreaterThan(5);
    expect(fetched).toBeLessThan(10);
    expect(objects.room.left).toBeLessThan(BLOB_BYTES);
  });

  test('also where less is left than the next one takes, something old goes for it', async () => {
    await fillStore(2);
    const before = open();
    const { blobBytes, metadataBytes } = before.status();
    await close(before);
    // The slack of a twentieth, and a little more.
    const store = open(Math.ceil((blobBytes + metadataBytes + 20_000) / 0.95));
    expect(store.prefetchRoom()).toBe(8 * 1024 * 1024);
    ageAll(2, 0);
    expect(store.prefetchRoom()).toBeGreaterThan(0);
    expect(store.prefetchRoom()).toBeLessThan(BLOB_BYTES);
  });
});
