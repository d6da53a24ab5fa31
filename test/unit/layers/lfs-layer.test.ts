// The layer that reads pointers as large files: sizes, choice, content, failures, and what is asked for ahead.
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LfsError } from '../../../src/lfs/lfs-error.ts';
import type { Layer, LayerEntry, Listing } from '../../../src/layers/layer.ts';
import { createPathFilter } from '../../../src/util/path-filter.ts';
import { lfsOid } from '../../support/lfs-repository.ts';
import { FileSource } from '../../support/memory-upstream.ts';
import { readOpenFile } from '../../support/store-folder.ts';
import { LfsFixture, openAndClose, rulesOf } from './lfs-fixture.ts';

let fixture: LfsFixture;
beforeEach(async () => {
  fixture = await LfsFixture.create();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const SMALL_TEXT = 'an ordinary file of a size that a pointer could have\n'.repeat(5);

async function list(layer: Layer, path = ''): Promise<Listing> {
  const folder = (await layer.resolve(path)) as LayerEntry;
  const listing = await layer.list(folder);
  await layer.loadSizes(listing);
  return listing;
}

const entryOf = (listing: Listing, name: string): LayerEntry => listing.get(name) as LayerEntry;

const sizesOf = (layer: Layer, listing: Listing): Record<string, number | undefined> =>
  Object.fromEntries(
    Array.from({ length: listing.length }, (_none, index) => {
      const entry = listing.at(index);
      return [entry.name, layer.knownSize(entry)];
    }),
  );

describe('sizes', () => {
  test('of a folder come with two requests, whatever the number of pointers, and no large file is asked for', async () => {
    const { files, upstream } = fixture;
    const tree = Object.fromEntries(
      Array.from({ length: 150 }, (_none, nth) => [`${nth}.bin`, files.add('x'.repeat(2000 + nth))]),
    );
    const layer = fixture.layer({ ...tree, 'small.bin': SMALL_TEXT, text: SMALL_TEXT });
    const listing = await list(layer);
    expect(layer.knownSize(entryOf(listing, '149.bin'))).toBe(2149);
    expect(layer.knownSize(entryOf(listing, 'small.bin'))).toBe(SMALL_TEXT.length);
    expect(layer.knownSize(entryOf(listing, 'text'))).toBe(SMALL_TEXT.length);
    expect(upstream.calls.map(({ method }) => method)).toEqual(['fetchTree', 'fetchSizes', 'fetchBlobs']);
    // What the attributes do not mark was not fetched.
    expect(upstream.calls.at(-1)?.ids).toHaveLength(151);
    expect(layer.loadSizes(listing)).toBeUndefined();
    expect([files.clients, files.opened, files.fetched, files.located]).toEqual([0, [], [], []]);
  });

  test('are not known before attributes and pointers are, not even as those of the pointers', async () => {
    const { files, upstream } = fixture;
    const pointer = files.add('x'.repeat(5000));
    upstream.sizesTrees = true;
    fixture.rules = undefined;
    const layer = fixture.layer({ 'a.bin': pointer, 'large.txt': 'y'.repeat(3000), tiny: 'z' });
    const listing = await layer.list(layer.root);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': undefined, 'large.txt': 3000, tiny: 1 });
    fixture.rules = rulesOf(() => true);
    expect(layer.knownSize(entryOf(listing, 'a.bin'))).toBeUndefined();
    expect(await layer.size(entryOf(listing, 'a.bin'))).toBe(5000);
    expect(layer.knownSize(entryOf(listing, 'a.bin'))).toBe(5000);
  });

  test('of a pointer that is known need no blob in the store', async () => {
    const { files, upstream } = fixture;
    const layer = fixture.layer({ 'a.bin': files.add('x'.repeat(5000)) });
    await list(layer);
    upstream.calls.length = 0;
    const again = fixture.layer({ 'a.bin': files.add('x'.repeat(5000)) });
    expect(sizesOf(again, await list(again))).toEqual({ 'a.bin': 5000 });
    expect(upstream.count('fetchBlobs') + upstream.count('fetchBlob')).toBe(0);
  });

  test('follow the attributes when these change', async () => {
    const pointer = fixture.files.add('x'.repeat(5000));
    const layer = fixture.layer({ 'a.bin': pointer, 'b.dat': pointer });
    const listing = await list(layer);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': 5000, 'b.dat': pointer.length });
    fixture.rules = rulesOf((name) => name.endsWith('.dat'));
    await layer.loadSizes(listing);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': pointer.length, 'b.dat': 5000 });
    fixture.rules = rulesOf(() => false, true);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': pointer.length, 'b.dat': pointer.length });
  });

  test('of other files are known although attributes, or a blob, cannot be had', async () => {
    const { files, upstream } = fixture;
    fixture.rules = undefined;
    fixture.laterRules = () => Promise.reject(new Error('the server is away'));
    const pointer = files.add('x'.repeat(5000));
    const layer = fixture.layer({ 'a.bin': pointer, 'b.bin': files.add('y'.repeat(6000)), 'c.bin': 'tiny' });
    let listing = await list(layer);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': undefined, 'b.bin': undefined, 'c.bin': 4 });
    await expect(layer.size(entryOf(listing, 'a.bin'))).rejects.toThrow('the server is away');

    fixture.rules = rulesOf(() => true);
    upstream.blobs.delete(entryOf(listing, 'a.bin').id);
    listing = await list(layer);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': undefined, 'b.bin': 6000, 'c.bin': 4 });
    await expect(layer.size(entryOf(listing, 'a.bin'))).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('that turn out wrong are corrected for ordinary files, never for large ones', async () => {
    const layer = fixture.layer({ 'a.bin': fixture.files.add('x'.repeat(5000)), b: 'bb' });
    const listing = await list(layer);
    layer.correctSize(entryOf(listing, 'a.bin'), 7);
    layer.correctSize(entryOf(listing, 'b'), 7);
    expect(sizesOf(layer, listing)).toEqual({ 'a.bin': 5000, b: 7 });
  });
});

describe('which pointers read as large files', () => {
  test('any, where the configuration says so; symlinks and pointers with extensions never', async () => {
    const pointer = fixture.files.add('x'.repeat(5000));
    const extended = pointer.replace('\noid', `\next-0-foo sha256:${'a'.repeat(64)}\noid`);
    const layer = fixture.layer(
      {
        'a.txt': pointer,
        'b.txt': SMALL_TEXT,
        extended,
        link: new FileSource(0o120000, pointer),
        run: new FileSource(0o100755, pointer),
      },
      { smudge: 'any-pointer' },
    );
    expect(sizesOf(layer, await list(layer))).toEqual({
      'a.txt': 5000,
      'b.txt': SMALL_TEXT.length,
      extended: extended.length,
      link: pointer.length,
      run: 5000,
    });
  });

  test('those that include and exclude leave, by the path in the monorepo', async () => {
    const pointer = fixture.files.add('x'.repeat(5000));
    const layer = fixture.layer(
      { in: { 'a.bin': pointer, 'skip.bin': pointer }, out: { 'a.bin': pointer } },
      { filter: createPathFilter(['models/deep/in'], ['skip.*']) },
    );
    expect(sizesOf(layer, await list(layer, 'in'))).toEqual({ 'a.bin': 5000, 'skip.bin': pointer.length });
    expect(sizesOf(layer, await list(layer, 'out'))).toEqual({ 'a.bin': pointer.length });
  });
});

describe('content', () => {
  test('of a large file comes from its server, once, and of a pointer that is not marked from the blob', async () => {
    const { files } = fixture;
    const pointer = files.add('large content'.repeat(1000));
    const layer = fixture.layer({ 'a.bin': pointer, b: pointer });
    const listing = await list(layer);
    for (let round = 0; round < 2; round++) {
      const fd = (await layer.openToRead?.(entryOf(listing, 'a.bin'))) as number;
      expect(readOpenFile(fd).toString()).toBe('large content'.repeat(1000));
      closeSync(fd);
    }
    expect(files.opened.map(({ path, size }) => [path, size])).toEqual([['models/deep/a.bin', 13_000]]);
    const fd = await layer.open(entryOf(listing, 'b'));
    expect(readOpenFile(fd).toString()).toBe(pointer);
    closeSync(fd);
    expect(files.stored.size).toBe(1);
  });

  test('is fetched whole where all of it is wanted, and the path is noted once with its pointer', async () => {
    const { files } = fixture;
    const layer = fixture.layer({ dir: { 'a.bin': files.add('large'.repeat(1000)) } });
    const listing = await list(layer, 'dir');
    const entry = entryOf(listing, 'a.bin');
    for (let round = 0; round < 2; round++) {
      const fd = await layer.open(entry);
      expect(readOpenFile(fd).length).toBe(5000);
      closeSync(fd);
    }
    expect(files.fetched.map(({ priority }) => priority)).toEqual(['demand']);
    const oid = lfsOid('large'.repeat(1000));
    expect(fixture.notes).toEqual([['dir/a.bin', { oid, size: 5000, blob: entry.id }]]);
  });

  test('that is fetched already is opened without waiting, and without looking for the server', async () => {
    const { files } = fixture;
    const layer = fixture.layer({ 'a.bin': files.add('large'.repeat(1000)) });
    const listing = await list(layer);
    await openAndClose(layer, entryOf(listing, 'a.bin'));
    const before = files.clients;
    const fd = layer.openToRead?.(entryOf(listing, 'a.bin'));
    expect(fd).toBeTypeOf('number');
    closeSync(fd as number);
    expect(files.clients).toBe(before);
  });

  test.each([
    ['missing', 'ENODATA'],
    ['refused', 'EACCES'],
    ['unreachable', 'EHOSTUNREACH'],
    ['timeout', 'ETIMEDOUT'],
    ['no-space', 'ENOSPC'],
    ['corrupt', 'EIO'],
  ] as const)(
    'that cannot be had (%s) fails with %s, and names path, large file and reason',
    async (kind, code) => {
      const { files } = fixture;
      const layer = fixture.layer({ 'a.bin': files.add('large'.repeat(1000)) });
      const entry = entryOf(await list(layer), 'a.bin');
      files.fault = new LfsError(kind, 'http://lfs.example: something is wrong');
      const oid = lfsOid('large'.repeat(1000));
      const message = `models/deep/a.bin (large file ${oid}): http://lfs.example: something is wrong`;
      for (const opening of [layer.open(entry), layer.openToRead?.(entry)]) {
        await expect(opening).rejects.toMatchObject({ code, message, cause: files.fault });
      }
      expect(fixture.failures.map(({ object }) => object.oid)).toEqual([oid, oid]);
    },
  );

  test('that a caller gave up is interrupted, and no failure', async () => {
    const { files } = fixture;
    const layer = fixture.layer({ 'a.bin': files.add('large'.repeat(1000)) });
    const entry = entryOf(await list(layer), 'a.bin');
    files.fault = new LfsError('aborted', 'given up');
    await expect(layer.openToRead?.(entry)).rejects.toMatchObject({ code: 'EINTR' });
    expect(fixture.failures).toEqual([]);
  });
});

describe('what is asked for ahead', () => {
  const folderOf = (count: number, bytes = 2000): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: count }, (_none, nth) => [
        `${String(nth).padStart(4, '0')}.bin`,
        fixture.files.add(`${nth} `.repeat(bytes)),
      ]),
    );

  test('the first file of a folder asks for the whereabouts of its neighbours, a hundred together', async () => {
    const { files } = fixture;
    const layer = fixture.layer(folderOf(250));
    const listing = await list(layer);
    await openAndClose(layer, listing.at(240));
    await vi.waitFor(() => expect(files.located).toHaveLength(1));
    expect(files.located[0]).toHaveLength(100);
    expect(files.located[0]?.map(({ path }) => path).slice(8, 12)).toEqual(
      ['0248', '0249', '0000', '0001'].map((name) => `models/deep/${name}.bin`),
    );
    await openAndClose(layer, listing.at(5));
    expect(files.located).toHaveLength(1);
    expect(files.opened).toHaveLength(2);
  });

  test('who opens file after file finds the next ones fetched, eight at most, behind all demands', async () => {
    const { files } = fixture;
    const layer = fixture.layer(folderOf(40));
    const listing = await list(layer);
    await openAndClose(layer, listing.at(0));
    expect(files.fetched).toEqual([]);
    await openAndClose(layer, listing.at(1));
    await vi.waitFor(() => expect(files.fetched).toHaveLength(8));
    expect(new Set(files.fetched.map(({ priority }) => priority))).toEqual(new Set(['prefetch']));
    await vi.waitFor(() => expect(files.stored.size).toBe(10));
    for (let nth = 2; nth < 40; nth++) {
      await openAndClose(layer, listing.at(nth));
      await vi.waitFor(() => expect(files.stored.size).toBe(Math.min(40, nth + 9)));
    }
    expect(files.opened).toHaveLength(2);
    expect(files.fetched).toHaveLength(38);
  });

  test('large ones are left to those who read them', async () => {
    const { files } = fixture;
    const tree = {
      'a.bin': files.add('a'.repeat(3000)),
      'b.bin': files.add('b'.repeat(3000)),
      'c.bin': files.add(Buffer.alloc(17 * 1024 * 1024)),
      'd.bin': files.add('d'.repeat(3000)),
    };
    const layer = fixture.layer(tree);
    const listing = await list(layer);
    await openAndClose(layer, listing.at(0));
    await openAndClose(layer, listing.at(1));
    await vi.waitFor(() => expect(files.stored.size).toBe(3));
    expect(files.fetched.map(({ object }) => object.path)).toEqual(['models/deep/d.bin']);
  });

  test('what is under way is given up when the layer is closed', async () => {
    const { files } = fixture;
    const layer = fixture.layer(folderOf(40));
    const listing = await list(layer);
    await openAndClose(layer, listing.at(0));
    let open: () => void = () => undefined;
    files.gate = new Promise((resolve) => {
      open = resolve;
    });
    const opening = openAndClose(layer, listing.at(1));
    await vi.waitFor(() => expect(files.fetched).toHaveLength(8));
    layer.close();
    open();
    await opening;
    await vi.waitFor(() => expect(files.settled).toBe(10));
    expect(files.stored.size).toBe(2);
    await openAndClose(layer, listing.at(30));
    expect(files.fetched).toHaveLength(8);
  });
});
