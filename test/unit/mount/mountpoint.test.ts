// Where a mount may be put, and what is left of the folder afterwards.
import { existsSync } from 'node:fs';
import { mkdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clearDeadMount } from '../../../src/mount/dead-mount.ts';
import {
  checkMountpoint,
  makeMountpoint,
  removeFolders,
  resolveMountpoint,
} from '../../../src/mount/mountpoint.ts';
import { resolveOutside } from '../../../src/mount/resolve-outside.ts';
import { makeTestFolder } from '../../support/test-folder.ts';

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
let folder: string;
beforeEach(async () => {
  folder = await realpath(makeTestFolder());
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('resolving without entering a mount', () => {
  const at = (name: string): string => join(folder, name);

  it('follows absolute, relative and chained links, and keeps what is missing', async () => {
    await mkdir(at('real/deep'), { recursive: true });
    await symlink('real', at('relative'));
    await symlink(at('relative'), at('absolute'));
    const isMount = (): boolean => false;
    expect(await resolveOutside(at('absolute/deep/../deep/new/er'), isMount)).toBe(at('real/deep/new/er'));
    expect(await resolveOutside('/', isMount)).toBe('/');
  });

  it('returns a mount point without looking at it, and refuses what is below', async () => {
    // A file: looking below it would fail in another way.
    await writeFile(at('mount'), '');
    await symlink('mount', at('link'));
    const isMount = (path: string): boolean => path === at('mount');
    expect(await resolveOutside(at('link'), isMount)).toBe(at('mount'));
    for (const path of ['mount/x', 'link/x', 'mount/x/../../other']) {
      const wanted = path.includes('..') ? at('mount') : undefined;
      if (wanted === undefined) {
        await expect(resolveOutside(at(path), isMount)).rejects.toThrow(
          `is inside the mount at ${at('mount')}`,
        );
      } else expect(await resolveOutside(at(path), isMount)).toBe(at('other'));
    }
  });

  it('gives up on links in circles, and on files in the way', async () => {
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    await writeFile(at('file'), '');
    const isMount = (): boolean => false;
    await expect(resolveOutside(at('a/x'), isMount)).rejects.toThrow('too many levels of symbolic links');
    await expect(resolveOutside(at('file/x/y'), isMount)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('the rules', () => {
  it('keep mounts out of the folders of the daemon, through links too, except where they belong', async () => {
    const store = join(folder, 'store');
    await mkdir(join(store, 'mnt'), { recursive: true });
    await symlink(store, join(folder, 'link'));
    const rules = { reserved: [store], allowed: [join(store, 'mnt')] };
    for (const path of ['store', 'store/x', 'link/objects', 'store/mnt', '.']) {
      await expect(resolveMountpoint(join(folder, path), rules)).rejects.toThrow('keeps its own files');
    }
    expect(await resolveMountpoint(join(folder, 'link/mnt/id'), rules)).toBe(join(store, 'mnt/id'));
    expect(await resolveMountpoint(join(folder, 'storeroom'), rules)).toBe(join(folder, 'storeroom'));
  });

  it('want a folder that is empty and no mount point', async () => {
    await mkdir(join(folder, 'full/of'), { recursive: true });
    await writeFile(join(folder, 'file'), '');
    await expect(checkMountpoint(join(folder, 'full'))).rejects.toThrow('is not empty');
    await expect(checkMountpoint(join(folder, 'file'))).rejects.toThrow('is not a folder');
    await expect(checkMountpoint('/proc')).rejects.toThrow(
      'is a mount point already (a filesystem of type proc)',
    );
    await checkMountpoint(join(folder, 'full/of'));
    await checkMountpoint(join(folder, 'missing/too'));
  });
});

describe('making the folder', () => {
  it('makes parents for their owner, and tells what it made', async () => {
    const path = join(folder, 'a/b/c');
    const made = await makeMountpoint(path, owner);
    expect(made).toEqual([path, join(folder, 'a/b'), join(folder, 'a')]);
    expect((await stat(join(folder, 'a'))).uid).toBe(owner.uid);
    expect(await makeMountpoint(path, owner)).toEqual([]);
    await removeFolders(made);
    expect(existsSync(join(folder, 'a'))).toBe(false);
  });

  it('removes folders only as far as they are empty', async () => {
    const made = await makeMountpoint(join(folder, 'a/b/c'), owner);
    await writeFile(join(folder, 'a/b/mine'), '');
    await removeFolders(made);
    expect(existsSync(join(folder, 'a/b/c'))).toBe(false);
    expect(existsSync(join(folder, 'a/b/mine'))).toBe(true);
  });

  it('says why it cannot', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(makeMountpoint(join(folder, 'file/x'), owner)).rejects.toThrow(
      'cannot make the mount point',
    );
  });
});

it('leaves folders alone that are no mounts of ours when it clears dead mounts', async () => {
  await clearDeadMount(folder);
  await clearDeadMount('/proc');
  expect(existsSync('/proc/self')).toBe(true);
});
