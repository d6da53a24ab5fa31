// Conformance: making and removing folders and names.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectFailure, outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

const S_ISGID = 0o2000;

/** Tests of `mkdir`, `rmdir` and `unlink`. */
export function folderTests(start: Start): void {
  describe('mkdir', () => {
    test('makes an empty folder with its mode and owner', async () => {
      const { fs } = await start();
      await fs.as(otherOwner).mkdir('folder', 0o750);
      expect(await fs.stat('folder')).toMatchObject({ mode: constants.S_IFDIR | 0o750, ...otherOwner });
      expect(await fs.names('folder')).toEqual([]);
    });

    test('an existing name of any kind is EEXIST', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      await fs.symlink('folder', 'symlink');
      for (const path of ['file', 'folder', 'symlink'])
        await expectFailure(fs, 'EEXIST', () => fs.mkdir(path));
    });

    test('in a file is ENOTDIR, in a removed folder ENOENT', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      const { ino } = await fs.mkdir('folder');
      await fs.rmdir('folder');
      expect(await outcome(() => fs.filesystem.mkdir(attributes.ino, 'new', 0o755, fs.ctx))).toBe('ENOTDIR');
      expect(await outcome(() => fs.filesystem.mkdir(ino, 'new', 0o755, fs.ctx))).toBe('ENOENT');
    });

    test('in a setgid folder, new objects get its group, and new folders the bit', async () => {
      const { fs } = await start();
      await fs.mkdir('shared');
      await fs.setattr('shared', { mode: 0o2775, gid: otherOwner.gid });
      const caller = fs.as({ uid: otherOwner.uid });
      await caller.mkdir('shared/folder');
      await caller.create('shared/file');
      await caller.symlink('target', 'shared/symlink');
      await caller.mknod('shared/fifo', constants.S_IFIFO | 0o644);
      for (const name of await fs.names('shared')) {
        expect(await fs.stat(`shared/${name}`)).toMatchObject(otherOwner);
      }
      expect((await fs.stat('shared/folder')).mode & S_ISGID).toBe(S_ISGID);
      expect((await fs.stat('shared/file')).mode & S_ISGID).toBe(0);
    });
  });

  describe('rmdir', () => {
    test('removes an empty folder; its name is free again', async () => {
      const { fs } = await start();
      const first = await fs.mkdir('folder');
      await fs.rmdir('folder');
      expect(await fs.exists('folder')).toBe(false);
      const second = await fs.mkdir('folder');
      expect(second.ino).not.toBe(first.ino);
      expect(await fs.names('folder')).toEqual([]);
    });

    test('a folder with anything in it is ENOTEMPTY', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.mkdir('folder/sub');
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rmdir('folder'));
      await fs.rmdir('folder/sub');
      await fs.symlink('nowhere', 'folder/symlink');
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rmdir('folder'));
      await fs.unlink('folder/symlink');
      await fs.rmdir('folder');
    });

    test('what is not a folder is ENOTDIR, what is missing ENOENT', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      await fs.symlink('folder', 'symlink');
      await expectFailure(fs, 'ENOTDIR', () => fs.rmdir('file'));
      await expectFailure(fs, 'ENOTDIR', () => fs.rmdir('symlink'));
      await expectFailure(fs, 'ENOENT', () => fs.rmdir('missing'));
    });

    test('a removed folder that is still referenced is empty and has no link', async () => {
      const { fs } = await start();
      const { ino } = await fs.mkdir('folder');
      await fs.rmdir('folder');
      expect((await fs.getattr(ino)).nlink).toBe(0);
      const names = (await fs.readdirOnce(ino)).map(({ name }) => name);
      expect(names.filter((name) => name !== '.' && name !== '..')).toEqual([]);
    });

    test('nothing can be made in, linked or moved to a removed folder', async () => {
      const { fs } = await start();
      const { ino } = await fs.mkdir('folder');
      await fs.writeFile('file', 'kept');
      const file = await fs.resolve('file');
      await fs.rmdir('folder');
      const { filesystem, ctx } = fs;
      await expectFailure(fs, 'ENOENT', () => filesystem.symlink(ino, 'new', Buffer.from('x'), ctx));
      await expectFailure(fs, 'ENOENT', () => filesystem.link(file, ino, 'new', ctx));
      await expectFailure(fs, 'ENOENT', () => filesystem.rename(ROOT, 'file', ino, 'new', 0, ctx));
    });
  });

  describe('unlink', () => {
    test('removes files, symlinks, fifos and sockets', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.symlink('file', 'symlink');
      await fs.mknod('fifo', constants.S_IFIFO | 0o644);
      await fs.mknod('socket', constants.S_IFSOCK | 0o644);
      for (const path of ['symlink', 'fifo', 'socket', 'file']) await fs.unlink(path);
      expect(await fs.names('')).toEqual([]);
    });

    test('a folder is EISDIR, a missing name ENOENT', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await expectFailure(fs, 'EISDIR', () => fs.unlink('folder'));
      await expectFailure(fs, 'ENOENT', () => fs.unlink('missing'));
    });

    test('a symlink goes, what it points to stays', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept');
      await fs.symlink('file', 'symlink');
      await fs.unlink('symlink');
      expect(await fs.readText('file')).toBe('kept');
    });
  });
}
