// Large files in the store's budget: counted, evicted in the order of use with the blobs, protected.
import { closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test, vi } from 'vitest';
import { ProtectedBlobs } from '../../../src/objects/protected-blobs.ts';
import { arrivingFilePath, largeFilePath } from '../../../src/util/large-file-paths.ts';
import {
  BLOB_BYTES,
  close,
  contentOf,
  fillStore,
  folder,
  HOUR_MS,
  idOf,
  MEGABYTE,
  open,
  present,
  publish,
} from './budget-fixture.ts';

const oidOf = (number: number): string => number.toString(16).padStart(2, '0').repeat(32);
const pathOf = (number: number): string => largeFilePath(folder.path, oidOf(number));

function putLarge(number: number): string {
  mkdirSync(dirname(pathOf(number)), { recursive: true });
  writeFileSync(pathOf(number), contentOf(number));
  return oidOf(number);
}

function putArriving(number: number): string {
  const path = arrivingFilePath(folder.path, oidOf(number));
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'data'), contentOf(number));
  writeFileSync(join(path, 'ranges'), 'ranges');
  return path;
}

function setUsed(id: string, hoursAgo: number): void {
  const db = new Database(join(folder.path, 'usage.db'));
  db.prepare('UPDATE blobs SET used = ? WHERE id = ?').run(
    Date.now() - hoursAgo * HOUR_MS,
    Buffer.from(id, 'hex'),
  );
  db.close();
}

describe('large files', () => {
  test('are counted apart from blobs, while they arrive and when they are complete', async () => {
    const store = open();
    await publish(store, 1);
    store.largeFiles.arrived(oidOf(2), 10 * MEGABYTE);
    store.largeFiles.arrived(oidOf(2), 20_000_768);
    expect(store.status()).toMatchObject({ blobs: 1, blobBytes: BLOB_BYTES, largeFiles: 1 });
    expect(store.status().largeFileBytes).toBe(20_000_768);
    store.largeFiles.arrived(oidOf(2), 30_003_200);
    store.largeFiles.stored(oidOf(2), 40_001_536);
    expect(store.status()).toMatchObject({ blobs: 1, largeFiles: 1, largeFileBytes: 40_001_536 });
    await close(store);
    const again = open();
    expect(again.status()).toMatchObject({ blobs: 1, largeFiles: 1, largeFileBytes: 40_001_536 });
    again.largeFiles.removed([oidOf(2)]);
    expect(again.status()).toMatchObject({
      blobs: 1,
      blobBytes: BLOB_BYTES,
      largeFiles: 0,
      largeFileBytes: 0,
    });
  });

  test('go with the blobs, in the order of their last use', async () => {
    await fillStore(10);
    const store = open();
    store.largeFiles.stored(putLarge(100), BLOB_BYTES);
    store.largeFiles.stored(putLarge(101), BLOB_BYTES);
    await close(store);
    setUsed(oidOf(100), 6);
    const again = open();
    // Blob 0 was used after large file 100, the others after that.
    await again.prune(again.status().metadataBytes + 10 * BLOB_BYTES);
    expect(existsSync(pathOf(100))).toBe(false);
    expect(existsSync(pathOf(101))).toBe(true);
    expect(present(10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(again.status()).toMatchObject({ largeFiles: 1, largeFileBytes: BLOB_BYTES });
  });

  test('stay while they are open, arriving, protected or shared', async () => {
    const store = open();
    for (const number of [1, 2, 3, 4]) store.largeFiles.stored(putLarge(number), BLOB_BYTES);
    const arriving = [putArriving(5), putArriving(6)];
    store.largeFiles.arrived(oidOf(5), BLOB_BYTES);
    store.largeFiles.arrived(oidOf(6), BLOB_BYTES);
    const held = [openSync(pathOf(1), 'r'), openSync(join(arriving[0] ?? '', 'data'), 'r+')];
    expect(store.protectBlob(oidOf(2))).toBe(true);
    linkSync(pathOf(3), join(folder.path, 'second name'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await store.prune(0);
    expect([1, 2, 3, 4].map((number) => existsSync(pathOf(number)))).toEqual([true, true, true, false]);
    // What is left of an arrival means nothing without its bytes.
    expect(arriving.map((path) => existsSync(path))).toEqual([true, false]);
    for (const fd of held) closeSync(fd);
    store.releaseBlob(oidOf(2));
    rmSync(join(folder.path, 'second name'));
    await vi.waitFor(async () => {
      await store.prune(0);
      expect(store.status()).toMatchObject({ largeFiles: 0, largeFileBytes: 0 });
    });
  });

  test('are found by a count, with what they take for themselves', async () => {
    putLarge(1);
    linkSync(pathOf(1), join(folder.path, 'second name'));
    putLarge(2);
    new ProtectedBlobs(folder.path).protect(oidOf(2), pathOf(2));
    putArriving(3);
    const store = open();
    await store.prune(Number.POSITIVE_INFINITY);
    expect(store.status()).toMatchObject({ blobs: 0, largeFiles: 3, largeFileBytes: 2 * BLOB_BYTES });
    rmSync(join(folder.path, 'second name'));
    await store.prune(Number.POSITIVE_INFINITY);
    expect(store.status()).toMatchObject({ largeFiles: 3, largeFileBytes: 3 * BLOB_BYTES });
    rmSync(pathOf(1));
    await store.prune(Number.POSITIVE_INFINITY);
    expect(store.status()).toMatchObject({ largeFiles: 2, largeFileBytes: 2 * BLOB_BYTES });
  });

  test('make room on a full disk', async () => {
    const store = open();
    store.largeFiles.stored(putLarge(7), BLOB_BYTES);
    store.status();
    expect(store.largeFiles.makeRoom()).toBe(true);
    expect(existsSync(pathOf(7))).toBe(false);
  });

  test('a database of an earlier version goes on, with its totals', async () => {
    await fillStore(3);
    const db = new Database(join(folder.path, 'usage.db'));
    for (const name of ['large_added', 'large_removed', 'large_resized']) db.exec(`DROP TRIGGER ${name}`);
    db.exec("DELETE FROM state WHERE name IN ('large_bytes', 'large_files')");
    db.pragma('user_version = 1');
    db.close();
    const store = open();
    expect(store.status()).toMatchObject({ blobs: 3, blobBytes: 3 * BLOB_BYTES, largeFiles: 0 });
    store.largeFiles.stored(putLarge(9), BLOB_BYTES);
    expect(store.status()).toMatchObject({ blobs: 3, largeFiles: 1, largeFileBytes: BLOB_BYTES });
    closeSync((await store.openBlob(idOf(1))) ?? -1);
  });
});
