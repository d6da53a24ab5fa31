// The store on one process's disk: publication, verification, damage.
import { closeSync, existsSync, readFileSync, statSync, truncateSync, utimesSync, writeSync } from 'node:fs';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packSizes } from '../../../src/git/sized-tree.ts';
import { readBootTag } from '../../../src/util/boot-tag.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { temporaryName } from '../../../src/util/temporary-files.ts';
import { EMPTY_BLOB_ID, hashObject } from '../../../src/util/git-hash.ts';
import { createStoreFolder, readOpenFile, type StoreFolder } from '../../support/store-folder.ts';

const O_CLOEXEC = 0o2000000;

let folder: StoreFolder;
let store: ObjectStore;
let warnings: string[];

const open = (): ObjectStore =>
  openObjectStore(folder.path, { onWarning: (message) => warnings.push(message), busyTimeoutMs: 100 });

beforeEach(async () => {
  folder = await createStoreFolder();
  warnings = [];
  store = open();
});

afterEach(async () => {
  await store.close();
  await folder[Symbol.asyncDispose]();
});

async function publish(content: Buffer, options: { size?: number | undefined } = {}) {
  const id = hashObject('blob', content);
  const writer = store.writeBlob(id);
  writer.begin('size' in options ? options.size : content.length);
  for (let at = 0; at < content.length; at += 300_000) await writer.write(content.subarray(at, at + 300_000));
  await writer.finish();
  return id;
}

/** Comparing large buffers with toEqual takes seconds. */
function expectSame(actual: Buffer | undefined, expected: Buffer): void {
  expect(actual?.length).toBe(expected.length);
  expect(actual?.equals(expected)).toBe(true);
}

async function read(id: string): Promise<Buffer | undefined> {
  const fd = await store.openBlob(id);
  if (fd === undefined) return undefined;
  try {
    return readOpenFile(fd);
  } finally {
    closeSync(fd);
  }
}

describe('blobs', () => {
  test.each([
    ['small', 11],
    ['empty', 0],
    ['larger than what is written without waiting', 3_000_001],
  ])(
    'a %s blob is published with its content, its size, and nobody may write to it',
    async (_name, length) => {
      const content = randomBytes(length);
      const id = await publish(content);
      expectSame(await read(id), content);
      expect(store.size(id)).toBe(length);
      expect(statSync(folder.blobPath(id)).mode & 0o777).toBe(0o444);
      expect(folder.temporaryFiles()).toEqual([]);
      expect(warnings).toEqual([]);
    },
  );

  test.each([[undefined], [5], [5_000_000]])(
    'a blob whose size was told as %s is verified all the same',
    async (size) => {
      const content = randomBytes(1_500_000);
      expectSame(await read(await publish(content, { size })), content);
    },
  );

  test('is not there before it is finished, and afterwards at once', async () => {
    const content = Buffer.from('slowly');
    const id = hashObject('blob', content);
    const writer = store.writeBlob(id);
    writer.begin(6);
    void writer.write(content);
    expect(store.openBlob(id)).toBeUndefined();
    expect(store.hasBlob(id)).toBe(false);
    await writer.finish();
    const fd = store.openBlob(id);
    expect(typeof fd).toBe('number');
    expect(() => writeSync(fd as number, 'x')).toThrow('EBADF');
    const flags =
      /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd as number}`, 'latin1'))?.[1] ?? '';
    expect(Number.parseInt(flags, 8) & O_CLOEXEC).toBe(O_CLOEXEC);
    closeSync(fd as number);
  });

  test('wrong bytes are never published', async () => {
    const id = hashObject('blob', Buffer.from('right'));
    for (const size of [5, undefined]) {
      const writer = store.writeBlob(id);
      writer.begin(size);
      void writer.write(Buffer.from('wrong'));
      await expect(writer.finish()).rejects.toMatchObject({ kind: 'corrupt' });
    }
    expect(store.openBlob(id)).toBeUndefined();
    expect(folder.temporaryFiles()).toEqual([]);
  });

  test('a repeated attempt voids what was written before', async () => {
    const content = Buffer.from('second attempt');
    const id = hashObject('blob', content);
    const writer = store.writeBlob(id);
    writer.begin(undefined);
    void writer.write(Buffer.from('a first attempt that was longer than the second'));
    writer.begin(content.length);
    void writer.write(content);
    await writer.finish();
    expectSame(await read(id), content);
  });

  test('giving up in the middle of a write to the disk leaves nothing', async () => {
    const writer = store.writeBlob('a'.repeat(40));
    writer.begin(4_000_000);
    const writing = Promise.resolve(writer.write(Buffer.alloc(4_000_000)));
    writer.abandon();
    await expect(writing).rejects.toMatchObject({ kind: 'aborted' });
    expect(folder.temporaryFiles()).toEqual([]);
    expect(() => writer.begin(1)).toThrow('given up');
    await expect(writer.finish()).rejects.toMatchObject({ kind: 'aborted' });
  });

  test('a descriptor stays good when the blob is published once more', async () => {
    const content = Buffer.from('twice');
    const id = await publish(content);
    const fd = store.openBlob(id) as number;
    await publish(content);
    expect(readOpenFile(fd)).toEqual(content);
    closeSync(fd);
  });

  test('an id that is none is refused before it becomes a path', () => {
    expect(() => store.writeBlob('../../../etc/passwd')).toThrow(TypeError);
    expect(() => store.openBlob(`../${'a'.repeat(37)}`)).toThrow(TypeError);
  });
});

describe('damaged blob files', () => {
  const damages: [string, (path: string, content: Buffer) => void][] = [
    ['truncated', (path) => truncateSync(path, 3)],
    ['emptied, as after a power cut', (path) => truncateSync(path, 0)],
    [
      'overwritten in place with the same length',
      (path, content) => {
        chmodSync(path, 0o644);
        writeFileSync(path, Buffer.alloc(content.length));
      },
    ],
    [
      'torn, with the time of another boot',
      (path, content) => {
        chmodSync(path, 0o644);
        writeFileSync(path, Buffer.alloc(content.length));
        utimesSync(path, readBootTag() + 1, readBootTag() + 1);
      },
    ],
  ];
  for (const length of [1000, 2_500_000]) {
    test.each(damages)(
      `a file of ${length} bytes that was %s is discarded and never served`,
      async (_name, damage) => {
        const content = randomBytes(length);
        const id = await publish(content);
        damage(folder.blobPath(id), content);
        expect(await read(id)).toBeUndefined();
        expect(existsSync(folder.blobPath(id))).toBe(false);
        expect(warnings).toEqual([expect.stringContaining(`blob ${id} was damaged`)]);
        await publish(content);
        expectSame(await read(id), content);
      },
    );

    test(`a sound file of ${length} bytes of an earlier boot is verified once, and then trusted`, async () => {
      const content = randomBytes(length);
      const id = await publish(content);
      utimesSync(folder.blobPath(id), 12_345, 12_345);
      const all = await Promise.all([read(id), read(id), read(id)]);
      for (const one of all) expectSame(one, content);
      expect(statSync(folder.blobPath(id)).mtimeMs).not.toBe(12_345_000);
      const fd = store.openBlob(id);
      expect(typeof fd).toBe('number');
      closeSync(fd as number);
      expect(warnings).toEqual([]);
    });
  }
});

const payload = Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(20, 7)]);
const tree = hashObject('tree', payload);

describe('trees and sizes', () => {
  test('are there for later runs', async () => {
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    store.putSizes([
      [EMPTY_BLOB_ID, 0],
      ['a'.repeat(40), 2 ** 40],
    ]);
    await store.close();
    store = open();
    expect(store.tree(tree)?.payload).toEqual(payload);
    expect(store.size('a'.repeat(40))).toBe(2 ** 40);
    expect(store.size('b'.repeat(40))).toBeUndefined();
    const seen: unknown[] = [];
    store.eachSize(['b'.repeat(40), EMPTY_BLOB_ID, 'a'.repeat(40)], (...known) => seen.push(known));
    expect(seen).toEqual([
      [1, 0],
      [2, 2 ** 40],
    ]);
  });

  test('a payload that does not hash to the id is refused', () => {
    expect(() => store.putTrees([['a'.repeat(40), { payload, sizes: undefined }]])).toThrow(
      expect.objectContaining({ kind: 'corrupt' }),
    );
  });

  test('a stored tree whose bytes changed is dropped', () => {
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    const db = new Database(join(folder.path, 'metadata.db'));
    db.prepare('UPDATE trees SET payload = ?').run(Buffer.from('100644 b\0aaaaaaaaaaaaaaaaaaaa'));
    db.close();
    expect(store.tree(tree)).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(`tree ${tree} was damaged`)]);
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    expect(store.tree(tree)?.payload).toEqual(payload);
  });

  test('the size that was counted wins over the size that a server tells, before and after', async () => {
    const content = Buffer.from('counted');
    const id = hashObject('blob', content);
    store.putSizes([[id, 99]]);
    await publish(content);
    expect(store.size(id)).toBe(7);
    store.putSizes([[id, 99]]);
    expect(store.size(id)).toBe(7);
  });

  test('the size of a stored blob is known from its file', async () => {
    const id = await publish(Buffer.from('of seven'));
    expect(store.size(id)).toBe(8);
    const sizes: [number, number][] = [];
    store.eachSize([tree, id], (index, size) => sizes.push([index, size]));
    expect(sizes).toEqual([[1, 8]]);
    utimesSync(folder.blobPath(id), 12_345, 12_345);
    expect(store.size(id)).toBeUndefined();
  });

  test('a tree is kept with its sizes, which may come later, and are not lost when it comes without them', async () => {
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    expect(store.tree(tree)).toEqual({ payload, sizes: undefined });
    expect(store.hasTree(tree)).toBe(true);
    expect(store.hasTree(EMPTY_BLOB_ID)).toBe(false);
    store.putTreeSizes(tree, packSizes([5]));
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    await store.close();
    store = open();
    expect(store.tree(tree)).toEqual({ payload, sizes: packSizes([5]) });
  });

  test('a corrected size is there for later runs', async () => {
    store.correctSize(EMPTY_BLOB_ID, 5_000_000_000);
    expect(store.correctedSizes.get(EMPTY_BLOB_ID)).toBe(5_000_000_000);
    await store.close();
    store = open();
    expect([...store.correctedSizes]).toEqual([[EMPTY_BLOB_ID, 5_000_000_000]]);
  });

  test('sizes are known even when the database cannot be written', () => {
    const other = new Database(join(folder.path, 'metadata.db'));
    other.exec('BEGIN IMMEDIATE');
    store.putSizes([[EMPTY_BLOB_ID, 0]]);
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    other.exec('ROLLBACK');
    other.close();
    expect(store.size(EMPTY_BLOB_ID)).toBe(0);
    expect(store.tree(tree)).toBeUndefined();
    // Told once, not for each of the two.
    expect(warnings).toEqual([expect.stringContaining('locked')]);
  });
});

describe('the database file', () => {
  const path = (): string => join(folder.path, 'metadata.db');
  const aside = (): string[] =>
    readdirSync(folder.path).filter((name) => /^metadata\.db\.damaged-[^-]+-\d\d-.*Z$/.test(name));

  test.each([
    ['no database at all', () => writeFileSync(path(), randomBytes(8192))],
    [
      'a database without its tables',
      () => {
        const db = new Database(path());
        db.exec('DROP TABLE sizes');
        db.close();
      },
    ],
    [
      'a database with a destroyed page',
      () => {
        const bytes = readFileSync(path());
        writeFileSync(
          path(),
          Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xff)]),
        );
      },
    ],
  ])('%s is set aside and begun anew, with a warning', async (_name, damage) => {
    store.putSizes([[EMPTY_BLOB_ID, 0]]);
    await store.close();
    damage();
    store = open();
    expect(warnings).toEqual([expect.stringContaining('set aside')]);
    expect(aside()).toHaveLength(1);
    expect(store.size(EMPTY_BLOB_ID)).toBeUndefined();
    store.putSizes([[EMPTY_BLOB_ID, 0]]);
    expect(store.size(EMPTY_BLOB_ID)).toBe(0);
  });

  test('damage that shows up later is set aside while the store is open', async () => {
    const ids = Array.from({ length: 5000 }, () => randomBytes(20).toString('hex'));
    store.putSizes(ids.map((id) => [id, 1]));
    await store.close();
    const bytes = readFileSync(path());
    // The root pages stay, so that opening finds nothing.
    bytes.fill(0xff, 6 * 4096);
    writeFileSync(path(), bytes);
    store = open();
    expect(warnings).toEqual([]);
    for (const id of ids) store.size(id);
    expect(warnings).toEqual([expect.stringContaining('set aside')]);
    expect(aside()).toHaveLength(1);
    store.putSizes([[EMPTY_BLOB_ID, 0]]);
    expect(store.size(EMPTY_BLOB_ID)).toBe(0);
  });

  test('a store of the first version is brought forward, with what it holds', async () => {
    store.putTrees([[tree, { payload, sizes: undefined }]]);
    store.putSizes([[EMPTY_BLOB_ID, 0]]);
    await store.close();
    const db = new Database(path());
    db.exec('DROP TABLE corrected_sizes; ALTER TABLE trees DROP COLUMN sizes; PRAGMA user_version = 1');
    // One that is in use meanwhile, or whose migration was cut off, is as it was, and waits for the next start.
    db.exec('BEGIN IMMEDIATE; CREATE TABLE corrected_sizes (id BLOB)');
    expect(open).toThrow(expect.objectContaining({ kind: 'locked' }));
    db.exec('ROLLBACK');
    expect(db.pragma('user_version', { simple: true })).toBe(1);
    db.close();
    store = open();
    expect(warnings).toEqual([]);
    expect(store.tree(tree)).toEqual({ payload, sizes: undefined });
    expect(store.size(EMPTY_BLOB_ID)).toBe(0);
    store.putTreeSizes(tree, packSizes([1]));
    expect(store.tree(tree)?.sizes).toEqual(packSizes([1]));
  });

  test('a newer schema is refused and left as it is', async () => {
    await store.close();
    const db = new Database(path());
    db.pragma('user_version = 1000');
    db.close();
    const before = readFileSync(path());
    expect(open).toThrow(
      expect.objectContaining({ kind: 'newer', message: expect.stringContaining('update Scorpio') }),
    );
    expect(readFileSync(path())).toEqual(before);
    expect(aside()).toEqual([]);
  });

  test('a locked database is reported, not repaired', async () => {
    await store.close();
    const db = new Database(path());
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN EXCLUSIVE');
    try {
      expect(open).toThrow(expect.objectContaining({ kind: 'locked' }));
    } finally {
      db.close();
    }
    expect(aside()).toEqual([]);
  });

  test('a database that may not be opened is reported, not repaired', async () => {
    await using other = await createStoreFolder();
    mkdirSync(join(other.path, 'metadata.db'));
    expect(() => openObjectStore(other.path)).toThrow(expect.objectContaining({ kind: 'permission' }));
    writeFileSync(join(other.path, 'file'), '');
    expect(() => openObjectStore(join(other.path, 'file'))).toThrow(
      expect.objectContaining({ name: 'StoreError' }),
    );
  });
});

test('leftovers of dead processes go, those of living ones stay', async () => {
  const own = temporaryName();
  const [boot, namespace, , , , count] = own.split('.');
  const make = (name: string, ageMs = 0): void => {
    writeFileSync(join(folder.path, 'tmp', name), 'x');
    const time = (Date.now() - ageMs) / 1000;
    utimesSync(join(folder.path, 'tmp', name), time, time);
  };
  const foreign = `1.1.${process.pid}.1.00000000.1`;
  const foreignOld = `1.1.${process.pid}.1.00000000.2`;
  const dead = `${boot}.${namespace}.${process.pid}.1.00000000.${count}`;
  make(own);
  make(dead);
  make(foreign);
  make(foreignOld, 48 * 3600 * 1000);
  make('a file of the user');
  expect(await store.removeLeftovers()).toBe(2);
  expect(folder.temporaryFiles().sort()).toEqual([own, foreign, 'a file of the user'].sort());
});
