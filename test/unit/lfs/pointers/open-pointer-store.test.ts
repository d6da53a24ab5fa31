// The pointer store: what it remembers, and what becomes of it when its files or its disk are damaged.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openPointerStore, openPointerStoreSoon } from '../../../../src/lfs/pointers/open-pointer-store.ts';
import type { PathPointer, PointerStore } from '../../../../src/lfs/pointer-store.ts';
import type { LfsObject } from '../../../../src/lfs/lfs-object.ts';
import { CAN_MOUNT_DISKS, createSmallDisk } from '../../../support/small-disk.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';

const blobId = (nth: number): string => nth.toString(16).padStart(40, 'a');
const object = (nth: number): LfsObject => ({ oid: nth.toString(16).padStart(64, '0'), size: nth });
/** With an oid that does not compress. */
const large = (nth: number): LfsObject => ({
  oid: createHash('sha256').update(String(nth)).digest('hex'),
  size: nth,
});
const pathPointer = (nth: number): PathPointer => ({ ...object(nth), blob: blobId(nth) });

let top: string;
let folder: string;
let warnings: string[];
let store: PointerStore;
const rebuilt = vi.fn<() => void>();

const open = (): Promise<PointerStore> =>
  openPointerStore(folder, {
    onWarning: (text) => warnings.push(text),
    onRebuilt: rebuilt,
    retryDelayMs: 20,
  });

const setAsides = (): string[] => readdirSync(top).filter((name) => name.includes('.damaged-'));

beforeEach(async () => {
  top = makeTestFolder();
  folder = join(top, 'pointers');
  warnings = [];
  rebuilt.mockReset();
  store = await open();
});

afterEach(async () => {
  await store.close();
  rmSync(top, { recursive: true, force: true });
});

async function reopen(): Promise<void> {
  await store.close();
  store = await open();
}

async function collect(mount: string, below: string): Promise<string[]> {
  const found: string[] = [];
  for await (const [path] of store.paths(mount, below)) found.push(path);
  return found;
}

describe('what it remembers', () => {
  it('answers at once for what was noted, and after it was opened anew', async () => {
    store.noteBlobs([
      [blobId(1), { oid: 'f'.repeat(64), size: Number.MAX_SAFE_INTEGER }],
      [blobId(2), 'none'],
      [blobId(3), { oid: 'e'.repeat(64), size: 0 }],
    ]);
    for (let round = 0; round < 2; round++) {
      expect(store.blob(blobId(1))).toEqual({ oid: 'f'.repeat(64), size: Number.MAX_SAFE_INTEGER });
      expect(store.blob(blobId(2))).toBe('none');
      expect(store.blob(blobId(3))).toEqual({ oid: 'e'.repeat(64), size: 0 });
      expect(store.blob(blobId(4))).toBeUndefined();
      await reopen();
    }
    expect(store.wasRebuilt).toBe(false);
    expect(warnings).toEqual([]);
  });

  it('keeps the last of two notes', async () => {
    store.notePath('m', 'a', pathPointer(1));
    store.notePath('m', 'a', pathPointer(2));
    expect(await store.path('m', 'a')).toEqual(pathPointer(2));
    await reopen();
    expect(await store.path('m', 'a')).toEqual(pathPointer(2));
  });

  it('keeps the paths of mounts apart, and lists those below a folder in the order of their bytes', async () => {
    const paths = ['a', 'a.b', 'a/b', 'a/b/c', 'a/\u00ff', 'a0', 'b'];
    for (const [nth, path] of paths.entries()) store.notePath('one', path, pathPointer(nth));
    store.notePath('one-more', 'a/x', pathPointer(1));
    store.notePath('two', 'a/x', pathPointer(1));
    expect(await collect('one', '')).toEqual(paths.toSorted((x, y) => (x < y ? -1 : 1)));
    expect(await collect('one', 'a')).toEqual(['a/b', 'a/b/c', 'a/\u00ff']);
    await reopen();
    expect(await collect('one', 'a')).toEqual(['a/b', 'a/b/c', 'a/\u00ff']);
    await store.forgetMount('one');
    expect(await collect('one', '')).toEqual([]);
    expect(await collect('one-more', '')).toEqual(['a/x']);
    await reopen();
    expect(await collect('one', '')).toEqual([]);
    expect(await collect('two', 'a')).toEqual(['a/x']);
  });

  it('does not keep what else an object carries', () => {
    store.noteBlobs([[blobId(1), { ...object(1), path: 'x' } as LfsObject]]);
    expect(store.blob(blobId(1))).toEqual(object(1));
  });
});

describe('another process', () => {
  it('that has the store is a clear error, and nothing is set aside', async () => {
    await store.close();
    const holder = spawn(
      process.execPath,
      [
        '-e',
        "new (require('level').Level)(process.argv[1]).open().then(() => console.log('open')); process.stdin.resume()",
        folder,
      ],
      { cwd: import.meta.dirname, stdio: ['pipe', 'pipe', 'inherit'] },
    );
    try {
      await once(holder.stdout, 'data');
      await expect(open()).rejects.toMatchObject({
        name: 'LfsError',
        kind: 'conflict',
        message: expect.stringContaining(`another process uses ${folder}`),
      });
      expect(setAsides()).toEqual([]);
    } finally {
      const ended = once(holder, 'exit');
      holder.kill('SIGKILL');
      await ended;
    }
    store = await open();
    expect(store.wasRebuilt).toBe(false);
  });
});

/** Enough that there are tables, not just a log. */
async function fill(): Promise<void> {
  for (let from = 0; from < 60_000; from += 2000) {
    store.noteBlobs(Array.from({ length: 2000 }, (_, nth) => [blobId(from + nth), large(from + nth)]));
  }
  await store.close();
  const level = new Level(folder);
  await level.open();
  await (level as unknown as { compactRange(a: string, b: string): Promise<void> }).compactRange(
    '',
    '\u00ff',
  );
  await level.close();
}

const filesOf = (pattern: RegExp): string[] =>
  readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));

function flipBits(path: string): void {
  const bytes = readFileSync(path);
  for (let at = 50; at < bytes.length; at += 211) bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

describe('damage', () => {
  const damages: [string, () => void][] = [
    ['its manifest is cut', () => filesOf(/^MANIFEST/u).forEach((path) => truncateSync(path, 10))],
    ['its manifest is gone', () => filesOf(/^MANIFEST/u).forEach((path) => rmSync(path))],
    ['CURRENT is gone', () => rmSync(join(folder, 'CURRENT'))],
    ['CURRENT is empty', () => writeFileSync(join(folder, 'CURRENT'), '')],
    ['CURRENT names nothing', () => writeFileSync(join(folder, 'CURRENT'), 'MANIFEST-9999\n')],
    ['its tables are gone', () => filesOf(/\.ldb$/u).forEach((path) => rmSync(path))],
    [
      'it is a file',
      () => {
        rmSync(folder, { recursive: true });
        writeFileSync(folder, 'x');
      },
    ],
  ];

  it.each(damages)('is found when it is opened and %s', async (_what, damage) => {
    await fill();
    damage();
    store = await open();
    expect(store.wasRebuilt).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('the pointer store was damaged')]);
    expect(setAsides()).toHaveLength(1);
    expect(store.blob(blobId(1))).toBeUndefined();
    store.noteBlobs([[blobId(1), object(7)]]);
    await reopen();
    expect(store.blob(blobId(1))).toEqual(object(7));
    expect(store.wasRebuilt).toBe(false);
  });

  it.each<[string, (path: string) => void]>([
    ['bits of its tables are flipped', flipBits],
    ['its tables are cut', (path) => truncateSync(path, 1000)],
  ])('is found when it is read and %s, and never gives a wrong answer', async (_what, damage) => {
    await fill();
    const [first, ...others] = filesOf(/\.ldb$/u);
    // The last one has the record of the format, which is read when the store is opened.
    expect(others.length).toBeGreaterThan(0);
    damage(first ?? '');
    store = await open();
    expect(store.wasRebuilt).toBe(false);
    for (let nth = 0; nth < 60_000; nth += 97) {
      expect([undefined, large(nth)]).toContainEqual(store.blob(blobId(nth)));
    }
    await vi.waitFor(() => expect(rebuilt).toHaveBeenCalledTimes(1));
    expect(store.wasRebuilt).toBe(true);
    expect(setAsides()).toHaveLength(1);
    store.noteBlobs([[blobId(1), object(7)]]);
    await reopen();
    expect(store.blob(blobId(1))).toEqual(object(7));
  });

  it('keeps the last damaged one only', async () => {
    mkdirSync(join(top, 'pointers.damaged-20200101T000000Z'));
    await store.close();
    writeFileSync(join(folder, 'CURRENT'), '');
    store = await open();
    expect(setAsides()).toHaveLength(1);
    expect(existsSync(join(top, 'pointers.damaged-20200101T000000Z'))).toBe(false);
  });

  it('includes a format that this version does not know', async () => {
    await store.close();
    const level = new Level(folder);
    await level.put('f', 'scorpio-pointers-99');
    await level.close();
    store = await open();
    expect(store.wasRebuilt).toBe(true);
    expect(warnings[0]).toContain('another version');
  });
});

describe.skipIf(!CAN_MOUNT_DISKS)('a full disk', () => {
  it('is warned of once; the store goes on in memory, and writes again when there is room', async () => {
    using disk = createSmallDisk(4 * 1024 * 1024);
    await store.close();
    folder = join(disk.path, 'pointers');
    store = await open();
    store.noteBlobs([[blobId(1), object(1)]]);
    disk.fill();
    for (let nth = 2; nth < 60; nth++) {
      store.noteBlobs(Array.from({ length: 2000 }, (_, at) => [blobId(nth * 2000 + at), object(at)]));
      await collect('m', '');
    }
    expect(store.blob(blobId(59 * 2000))).toEqual(object(0));
    expect(warnings).toHaveLength(1);
    disk.empty();
    await vi.waitFor(async () => {
      store.notePath('m', 'late', pathPointer(1));
      await reopen();
      expect(await store.path('m', 'late')).toEqual(pathPointer(1));
    });
    expect(setAsides()).toEqual([]);
    await store.close();
  });

  it('does not keep the store from being opened', async () => {
    using disk = createSmallDisk(64 * 1024);
    await store.close();
    disk.fill();
    folder = join(disk.path, 'pointers');
    store = await open();
    store.notePath('m', 'b', pathPointer(2));
    store.notePath('m', 'a', pathPointer(1));
    expect(await collect('m', '')).toEqual(['a', 'b']);
    expect(warnings).toHaveLength(1);
    await store.close();
  });
});

it('a store that opens in the background takes notes at once, and answers what the disk has a little later', async () => {
  store.noteBlobs([[blobId(1), object(1)]]);
  await store.close();
  store = openPointerStoreSoon(folder, { onWarning: (text) => warnings.push(text), onRebuilt: rebuilt });
  const { opening } = store;
  expect(store.blob(blobId(1))).toBeUndefined();
  store.noteBlobs([[blobId(2), 'none']]);
  expect(store.blob(blobId(2))).toBe('none');
  await opening;
  expect(store.opening).toBeUndefined();
  expect(store.blob(blobId(1))).toEqual(object(1));
  await reopen();
  expect([store.blob(blobId(1)), store.blob(blobId(2))]).toEqual([object(1), 'none']);
  expect([warnings, rebuilt.mock.calls]).toEqual([[], []]);
});

it('a store that opens in the background says that it was damaged, and goes on without one that is taken', async () => {
  const second: string[] = [];
  const taken = openPointerStoreSoon(folder, {
    onWarning: (text) => second.push(text),
    retryDelayMs: 60_000,
  });
  await taken.opening;
  taken.noteBlobs([[blobId(3), 'none']]);
  expect([taken.blob(blobId(3)), second]).toEqual(['none', [expect.stringContaining('another process')]]);
  await taken.close();
  await store.close();
  for (const name of readdirSync(folder)) if (name.startsWith('MANIFEST')) rmSync(join(folder, name));
  store = openPointerStoreSoon(folder, { onWarning: (text) => warnings.push(text), onRebuilt: rebuilt });
  await store.opening;
  expect([rebuilt.mock.calls.length, store.wasRebuilt, setAsides().length]).toEqual([1, true, 1]);
});
