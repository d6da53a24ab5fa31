// The monorepo layer's own promises: what it asks for, hostile trees, large folders.
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RawTreeEntry } from '../../../src/git/raw-tree.ts';
import type { Layer, Listing } from '../../../src/layers/layer.ts';
import { createMonorepoLayer, createTreeCache, type TreeCache } from '../../../src/layers/monorepo.ts';
import { createLazyObjects, type LazyObjects } from '../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../src/upstream/upstream-error.ts';
import { FileSource, MemoryUpstream } from '../../support/memory-upstream.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

let folder: StoreFolder;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;
let warnings: string[];

beforeEach(async () => {
  folder = await createStoreFolder();
  store = openObjectStore(folder.path);
  upstream = new MemoryUpstream();
  objects = createLazyObjects({ store, upstream });
  warnings = [];
});

afterEach(async () => {
  await objects.close();
  await store.close();
  await folder[Symbol.asyncDispose]();
});

function layerOf(tree: string, trees?: TreeCache): Layer {
  return createMonorepoLayer({
    snapshot: upstream.snapshot(tree),
    objects,
    onWarning: (message) => warnings.push(message),
    ...(trees === undefined ? {} : { trees }),
  });
}

const namesOf = (listing: Listing): string[] =>
  Array.from({ length: listing.length }, (_none, index) => listing.at(index).name);

async function listRoot(entries: readonly RawTreeEntry[]): Promise<Listing> {
  const layer = layerOf(upstream.addTree(entries));
  return layer.list(layer.root);
}

describe('what is asked for', () => {
  test('making a layer asks for nothing; a listing asks for its folder only; a path for the folders on it', async () => {
    const layer = layerOf(upstream.add({ a: { b: { c: 'file' } }, other: { x: 'y' } }));
    expect(upstream.calls).toEqual([]);
    await layer.list(layer.root);
    expect(upstream.calls).toHaveLength(1);
    expect(await layer.resolve('a/b/c')).toMatchObject({ name: 'c', path: 'a/b/c' });
    expect(upstream.calls.map(({ method }) => method)).toEqual(['fetchTree', 'fetchTree', 'fetchTree']);
    expect(layer.resolve('a/b/c')).toMatchObject({ path: 'a/b/c' });
  });

  test('the sizes of a folder of 1,000 files are one request, and folders and submodules are not asked about', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 1000 }, (_none, n) => [`file${n}`, `content ${n}`]),
    );
    const layer = layerOf(
      upstream.add({ ...files, folder: { a: 'b' }, module: new FileSource(0o160000, 'x') }),
    );
    const listing = await layer.list(layer.root);
    await layer.loadSizes(listing);
    expect(upstream.calls.at(-1)?.ids).toHaveLength(1000);
    expect(upstream.count('fetchSizes')).toBe(1);
    const file = listing.get('file42');
    expect(file && layer.knownSize(file)).toBe(10);
    expect(layer.size(listing.at(0))).toBe(9);
    expect(upstream.calls).toHaveLength(2);
  });

  test('a blob that the server lost leaves the sizes of the others known, and its own size fails', async () => {
    const lost = 'e'.repeat(40);
    const layer = layerOf(
      upstream.addTree([
        { mode: 0o100644, name: '.gitkeep', id: lost },
        { mode: 0o100644, name: 'a', id: upstream.addBlob('four') },
      ]),
    );
    const listing = await layer.list(layer.root);
    await layer.loadSizes(listing);
    expect([layer.knownSize(listing.at(0)), layer.knownSize(listing.at(1))]).toEqual([undefined, 4]);
    await expect(layer.size(listing.at(0))).rejects.toMatchObject({ kind: 'not-found' });
    await expect(layer.open(listing.at(0))).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('the same tree at two paths is fetched once, and its entries have their own paths', async () => {
    const same = { file: 'same' };
    const layer = layerOf(upstream.add({ a: same, b: { c: same } }));
    expect((await layer.resolve('a/file'))?.path).toBe('a/file');
    expect((await layer.resolve('b/c/file'))?.path).toBe('b/c/file');
    // The root, a, and b.
    expect(upstream.count('fetchTree')).toBe(3);
  });

  test('layers can share parsed trees, in bounded memory', async () => {
    const trees = createTreeCache(3000);
    const roots = Array.from({ length: 20 }, (_none, n) => upstream.add({ [`file${n}`]: 'x' }));
    for (const root of roots) await Promise.resolve(layerOf(root, trees).list(layerOf(root, trees).root));
    expect(trees.size).toBeGreaterThan(0);
    expect(trees.size).toBeLessThan(6);
    expect(trees.weight).toBeLessThanOrEqual(3000);
    // What fell out comes from the store.
    const first = layerOf(roots[0] ?? '', trees);
    expect(namesOf(await first.list(first.root))).toEqual(['file0']);
    expect(upstream.count('fetchTree')).toBe(20);
  });

  test('failures of the server arrive as they are, and are not remembered', async () => {
    const layer = layerOf(upstream.add({ a: 'file' }));
    upstream.fault = () => new UpstreamError('timeout', 'slow');
    await expect(layer.list(layer.root)).rejects.toMatchObject({ kind: 'timeout' });
    await expect(layer.resolve('a')).rejects.toMatchObject({ kind: 'timeout' });
    upstream.fault = undefined;
    const listing = await layer.list(layer.root);
    upstream.fault = () => new UpstreamError('unreachable', 'gone');
    await expect(layer.loadSizes(listing)).rejects.toMatchObject({ kind: 'unreachable' });
    await expect(layer.size(listing.at(0))).rejects.toMatchObject({ kind: 'unreachable' });
    await expect(layer.open(listing.at(0))).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

describe('trees that no file system could hold', () => {
  const id = 'a'.repeat(40);
  const file = (name: string, mode = 0o100644): RawTreeEntry => ({ mode, name, id });

  test.each<[string, RawTreeEntry[], string]>([
    ['an empty name, as Mega writes', [{ mode: 0o40000, name: '', id }], 'an empty name'],
    ['"."', [file('.')], 'the name "."'],
    ['".."', [file('..', 0o40000)], 'the name ".."'],
    ['".git"', [file('.git', 0o40000)], 'the name ".git"'],
    ['a slash', [file('a/../../etc/passwd')], 'a slash'],
    ['256 bytes', [file('n'.repeat(256))], 'more than 255 bytes'],
    ['the same name twice', [file('last'), file('last', 0o40000)], 'a name twice ("last")'],
    ['an unknown type', [file('device', 0o020644)], 'the mode 20644'],
  ])('%s is left out with one warning, and the rest is shown', async (_name, bad, reason) => {
    const kept = bad.filter(({ name }, index) => name === 'last' && index === 0).map(({ name }) => name);
    const layer = layerOf(upstream.addTree([file('first'), ...bad, file('then')]), createTreeCache(0));
    for (let round = 0; round < 3; round++) {
      const listing = await layer.list(layer.root);
      expect(namesOf(listing)).toEqual(['first', ...kept, 'then']);
      expect(listing.get('then')).toMatchObject({ name: 'then', id });
      for (const { name } of bad)
        expect(listing.get(name)?.mode).toBe(kept.includes(name) ? 0o100644 : undefined);
    }
    expect(warnings).toEqual([expect.stringContaining(reason)]);
  });

  test('names that only look odd are kept', async () => {
    const names = [
      '...',
      '.gitignore',
      '.GIT',
      ' ',
      '-',
      '~',
      '\xff',
      'n'.repeat(255),
      '__proto__',
      'constructor',
    ];
    const listing = await listRoot(names.map((name) => file(name)));
    expect(namesOf(listing)).toEqual(names);
    for (const name of names) expect(listing.get(name)?.name).toBe(name);
    expect(listing.get('toString')).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  test('historical modes become what Git checks out', async () => {
    const modes = [0o100664, 0o100640, 0o100600, 0o100775, 0o100700, 0o120000, 0o160000, 0o40000];
    const listing = await listRoot(modes.map((mode, index) => file(`n${index}`, mode)));
    expect(modes.map((_mode, index) => listing.at(index).mode.toString(8))).toEqual([
      '100644',
      '100644',
      '100644',
      '100755',
      '100755',
      '120777',
      '40755',
      '40755',
    ]);
  });

  test('a mode with a leading zero, and an unsorted tree, are read', async () => {
    const entry = (text: string): Buffer => Buffer.from(`${text}\0${'i'.repeat(20)}`, 'latin1');
    const layer = layerOf(
      upstream.addPayload(Buffer.concat([entry('100644 z'), entry('040000 a'), entry('100644 m')])),
    );
    const listing = await layer.list(layer.root);
    expect(namesOf(listing)).toEqual(['z', 'a', 'm']);
    expect(listing.get('a')).toMatchObject({ mode: 0o040755, id: '69'.repeat(20) });
  });

  test.each([
    ['cut short', Buffer.from('100644 name\0too short')],
    ['no tree', Buffer.from('hello, world')],
  ])('a payload that is %s is EIO, not half a listing', async (_name, payload) => {
    const layer = layerOf(upstream.addPayload(payload));
    await expect(layer.list(layer.root)).rejects.toMatchObject({ code: 'EIO' });
    expect(() => layer.list(layer.root)).toThrow('cannot be listed');
  });
});

describe('symlinks', () => {
  test.each([
    ['1 byte', 'x', true],
    ['4095 bytes', 'x'.repeat(4095), true],
    ['4096 bytes', 'x'.repeat(4096), false],
    ['no bytes', '', false],
    ['a NUL', 'a\0b', false],
  ])('a target of %s', async (_name, target, isValid) => {
    const layer = layerOf(upstream.add({ link: new FileSource(0o120000, target) }));
    const listing = await layer.list(layer.root);
    const link = listing.at(0);
    if (isValid) {
      expect(await layer.readlink(link)).toEqual(Buffer.from(target));
      expect(layer.readlink(link)).toEqual(Buffer.from(target));
    } else {
      await expect(Promise.resolve(layer.readlink(link))).rejects.toMatchObject({ code: 'EIO' });
    }
    expect(await layer.size(link)).toBe(target.length);
  });

  test('reading many leaves no descriptor open', async () => {
    const layer = layerOf(upstream.add({ link: new FileSource(0o120000, 'target') }));
    const listing = await layer.list(layer.root);
    await layer.readlink(listing.at(0));
    const before = await layer.open(await fileIn(layer));
    closeSync(before);
    for (let round = 0; round < 100; round++) await layer.readlink(listing.at(0));
    const after = await layer.open(await fileIn(layer));
    closeSync(after);
    expect(after).toBe(before);
  });

  /** The symlink's blob, as a file of another layer would have it. */
  async function fileIn(layer: Layer) {
    const link = await layer.resolve('link');
    if (link === undefined) throw new Error('no link');
    return { name: link.name, id: link.id, path: link.path, mode: 0o100644 };
  }
});

describe('a folder of 100,000 entries', () => {
  const COUNT = 100_000;

  function addLarge(): string {
    const entries: RawTreeEntry[] = [];
    for (let n = 0; n < COUNT; n++) {
      entries.push({
        mode: 0o100644,
        name: `some-module-name-${n}.ts`,
        id: n.toString(16).padStart(40, '0'),
      });
    }
    return upstream.addTree(entries);
  }

  test('is listed and searched in a time that grows with it, not with its square', async () => {
    const layer = layerOf(addLarge());
    const listing = await layer.list(layer.root);
    const started = performance.now();
    expect(listing.length).toBe(COUNT);
    let found = 0;
    for (let n = 0; n < COUNT; n++) if (listing.get(`some-module-name-${n}.ts`)?.name !== undefined) found++;
    for (let n = 0; n < COUNT; n++) if (listing.get(`no-module-name-${n}.ts`) !== undefined) found++;
    expect(found).toBe(COUNT);
    // Some 150 ms; by comparing with every entry it would be minutes.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('keeps less than 32 bytes of memory for an entry, beside the tree itself', async () => {
    const trees = createTreeCache(64 * 1024 * 1024);
    const tree = addLarge();
    const layer = layerOf(tree, trees);
    await layer.list(layer.root);
    const payload = upstream.trees.get(tree)?.length ?? 0;
    expect(trees.weight - payload).toBeLessThan(COUNT * 32);
    expect(trees.weight).toBeGreaterThan(payload);
  });

  test('learns all its sizes in one request, and from the store in none', async () => {
    const tree = addLarge();
    for (let n = 0; n < COUNT; n++) upstream.blobs.set(n.toString(16).padStart(40, '0'), Buffer.alloc(0));
    const layer = layerOf(tree);
    const listing = await layer.list(layer.root);
    await layer.loadSizes(listing);
    expect(upstream.count('fetchSizes')).toBe(1);
    expect(layer.knownSize(listing.at(COUNT - 1))).toBe(0);
    const later = layerOf(tree);
    const again = later.list(later.root);
    expect(later.loadSizes(again as Listing)).toBeUndefined();
    expect(later.knownSize((again as Listing).at(77))).toBe(0);
    expect(upstream.calls).toHaveLength(2);
  });
});
