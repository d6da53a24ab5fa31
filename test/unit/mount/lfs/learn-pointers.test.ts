// Learning pointers anew from the local store: what is found, and that nobody is asked.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { learnPointers } from '../../../../src/mount/lfs/learn-pointers.ts';
import type { LayerEntry } from '../../../../src/layers/layer.ts';
import { lfsOid } from '../../../support/lfs-repository.ts';
import { LfsFixture, openAndClose } from '../../layers/lfs-fixture.ts';

let fixture: LfsFixture;
beforeEach(async () => {
  fixture = await LfsFixture.create();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const never = new AbortController().signal;

test('the pointers of stored folders are found again, with the paths whose large files are stored', async () => {
  const { files, pointers, objects, upstream } = fixture;
  const large = 'x'.repeat(5000);
  const tree = {
    sub: { 'a.bin': files.add(large), 'b.bin': files.add('y'.repeat(5000)), text: 'z'.repeat(300) },
    unknown: { 'c.bin': files.add('w'.repeat(5000)) },
  };
  const layer = fixture.layer(tree);
  const listing = await layer.list((await layer.resolve('sub')) as LayerEntry);
  await layer.loadSizes(listing);
  await openAndClose(layer, listing.get('a.bin') as LayerEntry);
  const plainText = listing.get('text') as LayerEntry;
  await openAndClose(layer, plainText);

  const notes: [string, string][] = [];
  const forgetful = new Map<string, unknown>();
  const anew = {
    ...pointers,
    blob: () => undefined,
    noteBlobs: (blobs: Iterable<readonly [string, unknown]>) => {
      for (const [id, what] of blobs) forgetful.set(id, what);
    },
    notePath: (mountId: string, path: string) => notes.push([mountId, path]),
  } as unknown as typeof pointers;
  upstream.calls.length = 0;
  const isStored = (oid: string): boolean => files.stored.has(oid);
  const parts = { mountId: 'm', plain: fixture.plain, objects, pointers: anew, isStored };
  expect(await learnPointers(parts, never)).toBe(2);
  expect(upstream.calls).toEqual([]);
  expect(forgetful.get(listing.get('a.bin')?.id ?? '')).toEqual({ oid: lfsOid(large), size: 5000 });
  expect(forgetful.get(plainText.id)).toBe('none');
  expect(forgetful.size).toBe(3);
  expect(notes).toEqual([['m', 'sub/a.bin']]);
});

test('it ends early when the mount is gone', async () => {
  const layer = fixture.layer({ 'a.bin': fixture.files.add('x'.repeat(5000)) });
  await layer.loadSizes(await layer.list(layer.root));
  const { objects, pointers, plain } = fixture;
  const parts = { mountId: 'm', plain, objects, pointers, isStored: () => false };
  expect(await learnPointers(parts, AbortSignal.abort())).toBe(0);
});
