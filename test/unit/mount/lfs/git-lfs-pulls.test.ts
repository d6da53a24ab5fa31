// The real git-lfs as the other side: it pulls what was pushed from a mount, by the pointers that a commit gets.
import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createLfsWorkTree, type LfsWorkTree, lfsOid, noise } from '../../../support/lfs-repository.ts';
import { ATTRIBUTES, finish, LargeMount, never } from './large-mount.ts';

const FILES = {
  'one.bin': noise(3_000_000, 'one'),
  'two.bin': noise(1000, 'two'),
  'tiny.bin': Buffer.from('x'),
  'empty.bin': Buffer.alloc(0),
};

let mount: LargeMount | undefined;
let tree: LfsWorkTree | undefined;
afterEach(async () => {
  await tree?.remove();
  await mount?.dispose();
});

test('git-lfs pulls what was pushed, and finds nothing to change', async () => {
  mount = await LargeMount.create({ 'one.bin': 'before' });
  for (const [path, content] of Object.entries(FILES)) await mount.fs.writeFile(path, content);
  expect(await finish(mount.lfs.push({ paths: [] }))).toMatchObject({ filesDone: 4, filesFailed: 0 });
  tree = await createLfsWorkTree({ lfsUrl: `${mount.proxy.url}/project.git/info/lfs` });
  writeFileSync(join(tree.path, '.gitattributes'), ATTRIBUTES);
  for (const path of Object.keys(FILES)) {
    const blob = await mount.lfs.commitBlob(path, never);
    writeFileSync(join(tree.path, path), blob.kind === 'pointer' ? blob.content : readFileSync(blob.fd));
    if (blob.kind === 'content') closeSync(blob.fd);
  }
  await tree.commit();
  await tree.git('lfs', 'pull');
  for (const [path, content] of Object.entries(FILES)) {
    expect(lfsOid(readFileSync(join(tree.path, path)))).toBe(lfsOid(content));
  }
  // What git-lfs makes of the contents is the same pointers.
  await tree.git('add', '--renormalize', '.');
  expect(await tree.git('status', '--short')).toBe('');
  expect(await tree.git('lfs', 'fsck')).toContain('OK');
});
