// Conformance: which times an operation moves, on the object and on its folder.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RENAME_EXCHANGE } from '../../../src/fuse/filesystem.ts';
import { timesMoved } from '../../support/filesystem-assertions.ts';
import type { FilesystemClient } from '../../support/filesystem-client.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

type Action = (fs: FilesystemClient) => Promise<unknown>;

const onObject: Record<string, [moved: string, action: Action]> = {
  'a write': ['cm', (fs) => fs.append('folder/file', 'more')],
  'a truncation': ['cm', (fs) => fs.setattr('folder/file', { size: 1 })],
  'an open with O_TRUNC': ['cm', (fs) => fs.open('folder/file', constants.O_WRONLY | constants.O_TRUNC)],
  'a read': ['', (fs) => fs.readFile('folder/file')],
  'an open for writing without a write': ['', (fs) => fs.open('folder/file', constants.O_RDWR)],
  'a change of mode': ['c', (fs) => fs.setattr('folder/file', { mode: 0o600 })],
  'a change of owner': ['c', (fs) => fs.setattr('folder/file', { uid: otherOwner.uid })],
  'a change of atime': ['c', (fs) => fs.setattr('folder/file', { atime: { seconds: 1, nanoseconds: 1 } })],
  'setting an xattr': ['c', (fs) => fs.setxattr('folder/file', 'user.one', '1')],
  'removing an xattr': ['c', (fs) => fs.removexattr('folder/file', 'user.there')],
  'a new link': ['c', (fs) => fs.link('folder/file', 'linked')],
  'the loss of a link': ['c', (fs) => fs.unlink('folder/second')],
};

const onFolder: Record<string, Action> = {
  create: (fs) => fs.create('folder/new'),
  mkdir: (fs) => fs.mkdir('folder/new'),
  mknod: (fs) => fs.mknod('folder/new', constants.S_IFIFO | 0o644),
  symlink: (fs) => fs.symlink('target', 'folder/new'),
  link: (fs) => fs.link('folder/file', 'folder/new'),
  unlink: (fs) => fs.unlink('folder/file'),
  rmdir: (fs) => fs.rmdir('folder/empty'),
  'rename within': (fs) => fs.rename('folder/file', 'folder/new'),
  'rename away': (fs) => fs.rename('folder/file', 'elsewhere'),
  'rename to': (fs) => fs.rename('outside', 'folder/new'),
  'rename over': (fs) => fs.rename('outside', 'folder/file'),
  exchange: (fs) => fs.rename('outside', 'folder/file', RENAME_EXCHANGE),
};

async function prepare(fs: FilesystemClient): Promise<void> {
  await fs.mkdir('folder');
  await fs.mkdir('folder/empty');
  await fs.writeFile('folder/file', 'content');
  await fs.setxattr('folder/file', 'user.there', '1');
  await fs.link('folder/file', 'folder/second');
  await fs.writeFile('outside', '');
}

/** Tests of mtime and ctime. */
export function timeTests(start: Start): void {
  describe('times of an object', () => {
    for (const [title, [moved, action]] of Object.entries(onObject)) {
      test(`${title} moves ${moved === '' ? 'neither mtime nor ctime' : moved === 'c' ? 'ctime only' : 'both'}`, async () => {
        const { fs } = await start();
        await prepare(fs);
        expect(await timesMoved(fs, 'folder/file', () => action(fs))).toBe(moved);
      });
    }

    test('a rename does not move mtime', async () => {
      const { fs } = await start();
      await prepare(fs);
      const moved = await timesMoved(fs, 'folder/file', () => fs.rename('folder/file', 'new'), 'new');
      expect(['', 'c']).toContain(moved);
    });
  });

  describe('times of a folder', () => {
    for (const [title, action] of Object.entries(onFolder)) {
      test(`${title} moves both`, async () => {
        const { fs } = await start();
        await prepare(fs);
        expect(await timesMoved(fs, 'folder', () => action(fs))).toBe('cm');
      });
    }

    test('what happens to a file in it moves neither', async () => {
      const { fs } = await start();
      await prepare(fs);
      const action = async (): Promise<void> => {
        await fs.append('folder/file', 'more');
        await fs.setattr('folder/file', { mode: 0o600 });
        await fs.setxattr('folder/file', 'user.one', '1');
        await fs.list('folder');
      };
      expect(await timesMoved(fs, 'folder', action)).toBe('');
    });

    test('a failed operation moves neither', async () => {
      const { fs } = await start();
      await prepare(fs);
      const action = async (): Promise<void> => {
        for (const attempt of [
          () => fs.mkdir('folder/file'),
          () => fs.rmdir('folder/file'),
          () => fs.unlink('folder/empty'),
          () => fs.rename('folder/file', 'folder/empty'),
          () => fs.rename('folder/missing', 'folder/new'),
        ]) {
          await expect(attempt()).rejects.toThrow();
        }
      };
      expect(await timesMoved(fs, 'folder', action)).toBe('');
    });
  });
}
