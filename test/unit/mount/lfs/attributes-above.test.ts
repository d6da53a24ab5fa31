// Attribute files above a mount: which are read, when, and what happens without the server.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AttributeFiles } from '../../../../src/lfs/attributes/attribute-rules.ts';
import {
  createAttributesAbove,
  type ReadAttributesAbove,
} from '../../../../src/mount/lfs/attributes-above.ts';
import { createLazyObjects, type LazyObjects } from '../../../../src/objects/lazy-objects.ts';
import { openObjectStore, type ObjectStore } from '../../../../src/objects/object-store.ts';
import { UpstreamError } from '../../../../src/upstream/upstream-error.ts';
import { FileSource, MemoryUpstream } from '../../../support/memory-upstream.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';

let folder: string;
let store: ObjectStore;
let upstream: MemoryUpstream;
let objects: LazyObjects;
let warnings: string[];

beforeEach(() => {
  folder = makeTestFolder();
  store = openObjectStore(join(folder, 'store'));
  upstream = new MemoryUpstream();
  objects = createLazyObjects({ store, upstream });
  warnings = [];
  const root = upstream.add({
    '.gitattributes': 'root',
    '.libra_attributes': 'libra',
    a: {
      '.gitattributes': new FileSource(0o120000, 'a symlink'),
      '.libra_attributes': 'not in a root',
      b: { '.gitattributes': 'of b', c: { '.gitattributes': 'of the mount itself' } },
    },
  });
  upstream.head = { ...upstream.snapshot(root), path: '/' };
});

afterEach(async () => {
  await objects.close();
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const file = (): string => join(folder, 'state', 'root.json');

function above(path: string): ReadAttributesAbove {
  return createAttributesAbove({
    snapshot: { ...upstream.snapshot('7'.repeat(40)), path },
    upstream,
    objects,
    file: file(),
    onWarning: (message) => warnings.push(message),
  });
}

const shown = (files: readonly AttributeFiles[]): [string | undefined, string | undefined][] =>
  files.map(({ gitattributes, libraAttributes }) => [
    gitattributes && Buffer.from(gitattributes).toString(),
    libraAttributes && Buffer.from(libraAttributes).toString(),
  ]);

test('those of each folder above are read once, from the top down; symlinks are none', async () => {
  const read = above('/a/b/c');
  expect(upstream.calls).toEqual([]);
  const [first, second] = await Promise.all([read(), read(new AbortController().signal)]);
  expect(shown(first)).toEqual([
    ['root', 'libra'],
    [undefined, undefined],
    ['of b', undefined],
  ]);
  expect(second).toBe(first);
  expect(upstream.count('resolve')).toBe(1);
  expect(await read()).toBe(first);
});

test('a mount of everything asks nobody', async () => {
  expect(await above('/')()).toEqual([]);
  expect(upstream.calls).toEqual([]);
});

test('a later start needs no server', async () => {
  await above('/a/b/c')();
  upstream.fault = () => new UpstreamError('unreachable', 'down');
  expect(shown(await above('/a/b/c')())).toHaveLength(3);
  expect(JSON.parse(readFileSync(file(), 'utf8'))).toMatchObject({ tree: upstream.head?.tree });
});

test('a server that is away is an error, and asked again the next time', async () => {
  const read = above('/a/b');
  upstream.fault = () => new UpstreamError('unreachable', 'down');
  await expect(read()).rejects.toMatchObject({ kind: 'unreachable' });
  upstream.fault = undefined;
  expect(shown(await read())).toHaveLength(2);
});

test('a server that does not show its root has no such files, which is warned of', async () => {
  upstream.fault = ({ method }) => (method === 'resolve' ? new UpstreamError('refused', '403') : undefined);
  expect(await above('/a/b')()).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining('403')]);
  expect(existsSync(file())).toBe(false);
});

test('the head counts where the server cannot go back to the commit', async () => {
  let calls = 0;
  upstream.fault = ({ method }) =>
    method === 'resolve' && calls++ === 0 ? new UpstreamError('moved', 'moved') : undefined;
  expect(shown(await above('/a')())).toEqual([['root', 'libra']]);
});

test('a folder that its parent does not list ends the way', async () => {
  expect(shown(await above('/elsewhere/deep/er')())).toEqual([['root', 'libra']]);
});

test('who gives up is let go, and the others get what they wait for', async () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  upstream.gate = () => gate;
  const read = above('/a');
  const controller = new AbortController();
  const impatient = read(controller.signal);
  const patient = read();
  controller.abort();
  await expect(impatient).rejects.toMatchObject({ kind: 'aborted' });
  open();
  expect(shown(await patient)).toHaveLength(1);
});
