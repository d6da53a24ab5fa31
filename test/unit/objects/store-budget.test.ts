// The store's budget: what goes when it is too large or the disk is full, and what stays.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ObjectStore } from '../../../src/objects/object-store.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { CAN_MOUNT_DISKS, createSmallDisk, type SmallDisk } from '../../support/small-disk.ts';
import { readOpenFile } from '../../support/store-folder.ts';
import {
  MEGABYTE,
  BLOB_BYTES,
  folder,
  warnings,
  contentOf,
  idOf,
  open,
  close,
  publish,
  ageAll,
  present,
  fillStore,
  stores,
} from './budget-fixture.ts';

describe('bookkeeping', () => {
  test('counts what is stored in blocks of the disk, once however often it is stored', async () => {
    const store = open();
    await publish(store, 1);
    await publish(store, 1);
    await publish(store, 2, 1);
    await publish(store, 3, 0);
    expect(store.status()).toMatchObject({ blobs: 3, blobBytes: BLOB_BYTES + 4096 });
    await close(store);
    expect(open().status()).toMatchObject({ blobs: 3, blobBytes: BLOB_BYTES + 4096 });
  });

  test('notes a use of a blob once in some minutes, and not while it is opened', async () => {
    await fillStore(3);
    const store = open();
    const db = new Database(join(folder.path, 'usage.db'), { readonly: true });
    const usedAt = (number: number): unknown =>
      db
        .prepare('SELECT used FROM blobs WHERE id = ?')
        .pluck()
        .get(Buffer.from(idOf(number), 'hex'));
    const before = usedAt(1);
    const fd = (await store.openBlob(idOf(1))) ?? -1;
    closeSync(fd);
    expect(usedAt(1)).toBe(before);
    store.status();
    const noted = usedAt(1);
    expect(noted).toBeGreaterThan(Number(before));
    closeSync((await store.openBlob(idOf(1))) ?? -1);
    store.status();
    expect(usedAt(1)).toBe(noted);
    db.close();
  });

  test('takes in what a version without bookkeeping, or a crash, left unnoted', async () => {
    await fillStore(5);
    for (const suffix of ['', '-wal', '-shm'])
      rmSync(join(folder.path, `usage.db${suffix}`), { force: true });
    writeFileSync(join(folder.path, 'objects', 'no blob'), 'x');
    const store = open(50 * MEGABYTE);
    await vi.waitFor(() => expect(store.status().isCounted).toBe(true), { timeout: 60_000, interval: 200 });
    expect(store.status()).toMatchObject({ blobs: 5, blobBytes: 5 * BLOB_BYTES });
  }, 70_000);

  test('forgets files that somebody else removed', async () => {
    await fillStore(5);
    for (const number of [1, 2]) unlinkSync(folder.blobPath(idOf(number)));
    const store = open();
    expect(store.status().blobs).toBe(5);
    await store.prune(Number.MAX_SAFE_INTEGER);
    expect(store.status()).toMatchObject({ blobs: 3, blobBytes: 3 * BLOB_BYTES, isCounted: true });
  });

  test('begins anew when its file is damaged, and says nothing about what does not matter', async () => {
    await fillStore(4);
    writeFileSync(
      join(folder.path, 'usage.db'),
      'this is no database, however long one looks at it'.repeat(100),
    );
    const store = open();
    await store.prune(Number.MAX_SAFE_INTEGER);
    expect(store.status()).toMatchObject({ blobs: 4 });
    expect(warnings).toEqual([]);
  });
});

describe('eviction', () => {
  test('removes what was not used for longest, in the background, when the limit is passed', async () => {
    await fillStore(8);
    const store = open(MEGABYTE);
    // Blob 0 is the oldest, and is used now.
    closeSync((await store.openBlob(idOf(0))) ?? -1);
    for (let number = 8; number < 12; number++) await publish(store, number);
    await vi.waitFor(() => expect(store.status().blobBytes).toBeLessThan(MEGABYTE), { timeout: 10_000 });
    const left = present(12);
    expect(left).toContain(0);
    expect(left.slice(-4)).toEqual([8, 9, 10, 11]);
    // No gaps: the others went in the order of their use.
    const others = left.filter((number) => number > 0 && number < 8);
    expect(others).toEqual([1, 2, 3, 4, 5, 6, 7].slice(7 - others.length));
    expect(warnings).toEqual([]);
  });

  test('does not stop for a blob that is open, or protected, and takes it when it is neither', async () => {
    await fillStore(6);
    const store = open();
    const fd = (await store.openBlob(idOf(0))) ?? -1;
    ageAll(6);
    expect(store.protectBlob(idOf(1))).toBe(true);
    expect(store.protectBlob(idOf(1))).toBe(true);
    expect(store.protectBlob('0'.repeat(40))).toBe(false);
    const { blobs } = await store.prune(0);
    expect(blobs).toBe(4);
    expect(present(6)).toEqual([0, 1]);
    expect(readOpenFile(fd).equals(contentOf(0))).toBe(true);
    expect(store.status()).toMatchObject({ blobs: 2, protectedBlobs: 1 });
    closeSync(fd);
    store.releaseBlob(idOf(1));
    store.releaseBlob(idOf(1));
    expect((await store.prune(0)).blobs).toBe(2);
    expect(present(6)).toEqual([]);
    expect(store.status()).toMatchObject({ blobs: 0, blobBytes: 0, protectedBlobs: 0 });
  });

  test('leaves a blob that another process has mapped or open', async () => {
    await fillStore(2);
    const holder = spawn('sh', ['-c', `exec 3<${folder.blobPath(idOf(1))}; echo ready; sleep 60`]);
    try {
      await once(holder.stdout, 'data');
      const store = open();
      expect((await store.prune(0)).blobs).toBe(1);
      expect(present(2)).toEqual([1]);
    } finally {
      const gone = once(holder, 'exit');
      holder.kill('SIGKILL');
      await gone;
    }
  });

  test('keeps the protection over a loss of the bookkeeping, and of a file that was replaced', async () => {
    await fillStore(2);
    const store = open();
    store.protectBlob(idOf(0));
    unlinkSync(folder.blobPath(idOf(0)));
    await publish(store, 0);
    expect(store.protectBlob(idOf(0))).toBe(true);
    await close(store);
    for (const suffix of ['', '-wal', '-shm'])
      rmSync(join(folder.path, `usage.db${suffix}`), { force: true });
    const next = open();
    await next.prune(0);
    expect(present(2)).toEqual([0]);
  });

  test('does not take the modification time, which says what can be trusted, for a time', async () => {
    await fillStore(3);
    utimesSync(folder.blobPath(idOf(0)), 2 ** 31 - 10, 2 ** 31 - 10);
    utimesSync(folder.blobPath(idOf(2)), 2, 2);
    const store = open();
    await store.prune(store.status().metadataBytes + 2 * BLOB_BYTES);
    expect(present(3)).toEqual([1, 2]);
  });

  test('goes on after a process died between removing a file and noting it', async () => {
    await fillStore(4);
    unlinkSync(folder.blobPath(idOf(0)));
    const store = open(50 * MEGABYTE);
    const { blobs } = await store.prune(store.status().metadataBytes + 2 * BLOB_BYTES);
    expect(blobs).toBe(1);
    expect(present(4)).toEqual([2, 3]);
  });

  test('is done by one process at a time, and the other one waits', async () => {
    await fillStore(30);
    const [one, other] = [open(), open()];
    const removed = await Promise.all([one.prune(0), other.prune(0)]);
    expect(removed[0].blobs + removed[1].blobs).toBe(30);
    expect(one.status()).toMatchObject({ blobs: 0, blobBytes: 0 });
  });

  test('ends with the store, and leaves it right', async () => {
    await fillStore(60);
    const store = open();
    const pruning = store.prune(0);
    const files = (): number =>
      readdirSync(join(folder.path, 'objects')).reduce(
        (sum, name) => sum + readdirSync(join(folder.path, 'objects', name)).length,
        0,
      );
    while (files() === 60) await new Promise((resolve) => void setTimeout(resolve, 1));
    await close(store);
    await pruning;
    const left = files();
    expect(left).toBeGreaterThan(0);
    expect(open().status().blobs).toBe(left);
  });
});

test('trees take at most a quarter of the limit; the first ones go', async () => {
  const store = open(2 * MEGABYTE);
  const treeOf = (number: number): Buffer =>
    Buffer.from(`100644 ${number}\0${'x'.repeat(20)}`.repeat(200), 'latin1');
  const idOfTree = (number: number): string => hashObject('tree', treeOf(number));
  const count = 200;
  store.putTrees(
    Array.from({ length: count }, (_, number) => [
      idOfTree(number),
      { payload: treeOf(number), sizes: undefined },
    ]),
  );
  const known = (): number[] =>
    Array.from({ length: count }, (_, number) => number).filter(
      (number) => store.tree(idOfTree(number)) !== undefined,
    );
  await vi.waitFor(() => expect(known().length).toBeLessThan(count / 2), { timeout: 10_000 });
  const left = known();
  expect(left.length).toBeGreaterThan(10);
  // Those that were stored last.
  expect(left.at(-1)).toBe(count - 1);
  expect(left.at(-1)).toBe((left[0] ?? 0) + left.length - 1);
});

test('sizes that fill the metadata do not cost the trees', async () => {
  const path = folder.path;
  const filling = open();
  const payload = Buffer.from(`100644 a\0${'x'.repeat(20)}`, 'latin1');
  const tree = hashObject('tree', payload);
  const ids = Array.from({ length: 20_000 }, (_, number) => number.toString(16).padStart(40, '0'));
  filling.putSizes(ids.map((id) => [id, 1]));
  const trees = Array.from({ length: 200 }, (_, number) =>
    Buffer.from(`100644 ${number}\0${'x'.repeat(20)}`, 'latin1'),
  );
  filling.putTrees(
    [...trees, payload].map((each) => [hashObject('tree', each), { payload: each, sizes: undefined }]),
  );
  await close(filling);
  const store = open(2 * MEGABYTE, { path });
  const known = (): number => ids.filter((id) => store.size(id) !== undefined).length;
  await vi.waitFor(() => expect(known()).toBeLessThan(19_000), { timeout: 10_000 });
  expect(store.tree(tree)).toBeDefined();
});

test('metadata that is larger than its share leaves the blobs theirs', async () => {
  const filling = open();
  const ids = Array.from({ length: 40_000 }, (_, number) => number.toString(16).padStart(40, '0'));
  filling.putSizes(ids.map((id) => [id, 1]));
  await close(filling);
  const store = open(MEGABYTE);
  expect(store.status().metadataBytes).toBeGreaterThan(MEGABYTE);
  for (let number = 0; number < 10; number++) await publish(store, number);
  await vi.waitFor(() => expect(present(10).length).toBeLessThan(8), { timeout: 10_000 });
  await new Promise((resolve) => void setTimeout(resolve, 200));
  expect(present(10).length).toBeGreaterThan(4);
  expect(present(10).at(-1)).toBe(9);
});

describe.skipIf(!CAN_MOUNT_DISKS)('a full disk (needs root, to mount a small tmpfs)', () => {
  const DISK_BYTES = 6 * MEGABYTE;
  let disk: SmallDisk;

  beforeEach(() => {
    disk = createSmallDisk(DISK_BYTES);
  });

  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    disk[Symbol.dispose]();
  });

  const stored = (): number =>
    readdirSync(join(disk.path, 'objects')).reduce(
      (sum, name) => sum + readdirSync(join(disk.path, 'objects', name)).length,
      0,
    );

  /** The folder of this disk instead of the usual one, with old blobs. */
  async function fillDisk(count: number): Promise<ObjectStore> {
    const store = open(undefined, { path: disk.path });
    for (let number = 0; number < count; number++) await publish(store, number);
    store.status();
    ageAll(count, 5, disk.path);
    return store;
  }

  // Written on the spot, and in the thread pool.
  test.each([[BLOB_BYTES], [2 * MEGABYTE]])(
    'makes room for a blob of %i bytes, of what was not used for longest',
    async (bytes) => {
      const store = await fillDisk(30);
      const fd = (await store.openBlob(idOf(0))) ?? -1;
      disk.fill();
      const id = await publish(store, 1000, bytes);
      const fresh = (await store.openBlob(id)) ?? -1;
      expect(readOpenFile(fresh).equals(contentOf(1000, bytes))).toBe(true);
      expect(readOpenFile(fd).equals(contentOf(0))).toBe(true);
      expect(existsSync(join(disk.path, 'objects', idOf(0).slice(0, 2), idOf(0).slice(2)))).toBe(true);
      expect(stored()).toBeLessThan(31);
      expect(warnings).toEqual([]);
      closeSync(fd);
      closeSync(fresh);
    },
  );

  test('is said clearly when nothing is left that may go', async () => {
    const store = await fillDisk(3);
    for (let number = 0; number < 3; number++) store.protectBlob(idOf(number));
    disk.fill();
    await expect(publish(store, 1000)).rejects.toMatchObject({
      code: 'ENOSPC',
      message: expect.stringContaining('free space'),
    });
    expect(stored()).toBe(3);
  });

  test('makes room for a tree', async () => {
    const store = await fillDisk(20);
    disk.fill();
    const payload = Buffer.from(`100644 a\0${'x'.repeat(20)}`.repeat(5000), 'latin1');
    store.putTrees([[hashObject('tree', payload), { payload: payload, sizes: undefined }]]);
    expect(store.tree(hashObject('tree', payload))?.payload.length).toBe(payload.length);
    expect(warnings).toEqual([]);
  });

  test('lets the store be opened, and gives way to it', async () => {
    await close(await fillDisk(20));
    disk.fill();
    const store = open(undefined, { path: disk.path });
    expect(warnings).toEqual([]);
    expect(stored()).toBeGreaterThan(5);
    const payload = Buffer.from(`100644 a\0${'x'.repeat(20)}`, 'latin1');
    store.putTrees([[hashObject('tree', payload), { payload: payload, sizes: undefined }]]);
    expect(store.tree(hashObject('tree', payload))?.payload).toEqual(payload);
  });

  test('of others lets what is stored be read, with a warning, and work go on when there is space', async () => {
    const payload = Buffer.from(`100644 a\0${'x'.repeat(20)}`, 'latin1');
    const more = Buffer.from(`100644 b\0${'x'.repeat(20)}`, 'latin1');
    const earlier = open(undefined, { path: disk.path });
    const id = await publish(earlier, 0);
    earlier.protectBlob(id);
    earlier.putTrees([[hashObject('tree', payload), { payload: payload, sizes: undefined }]]);
    await close(earlier);
    disk.fill();
    const store = open(undefined, { path: disk.path });
    expect(store.tree(hashObject('tree', payload))?.payload).toEqual(payload);
    const fd = (await store.openBlob(id)) ?? -1;
    expect(readOpenFile(fd).equals(contentOf(0))).toBe(true);
    closeSync(fd);
    expect(warnings.join('\n')).toContain('free space');
    disk.empty();
    store.putTrees([[hashObject('tree', more), { payload: more, sizes: undefined }]]);
    expect(store.tree(hashObject('tree', more))?.payload).toEqual(more);
    // Other processes are let in again.
    expect(open(undefined, { path: disk.path }).tree(hashObject('tree', more))?.payload).toEqual(more);
  });

  test('that fills up makes the store shrink, but not below what is being worked with', async () => {
    await close(await fillDisk(20));
    const keepFree = 2 * MEGABYTE;
    const store = open(0, { path: disk.path, keepFree });
    for (let number = 20; number < 23; number++) await publish(store, number);
    mkdirSync(join(disk.path, 'upper'));
    writeFileSync(join(disk.path, 'upper', 'written'), Buffer.alloc(2.5 * MEGABYTE));
    expect(store.status().freeBytes).toBeLessThan(keepFree);
    await vi.waitFor(() => expect(store.status().freeBytes).toBeGreaterThanOrEqual(keepFree), {
      timeout: 15_000,
    });
    writeFileSync(join(disk.path, 'upper', 'more'), Buffer.alloc(2 * MEGABYTE));
    await vi.waitFor(() => expect(store.status().blobs).toBe(3), { timeout: 15_000 });
    await new Promise((resolve) => void setTimeout(resolve, 3000));
    expect(store.status().blobs).toBe(3);
  }, 40_000);
});

test('a hard link that somebody else made to a blob keeps it, since removing it would free nothing', async () => {
  await fillStore(2);
  linkSync(folder.blobPath(idOf(0)), join(folder.path, 'copy'));
  await open().prune(0);
  expect(present(2)).toEqual([0]);
});
