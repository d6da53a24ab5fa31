// Conformance: extended attributes.
import { describe, expect, test } from 'vitest';
import { XATTR_CREATE, XATTR_REPLACE } from '../../../src/fuse/filesystem.ts';
import { expectFailure, outcome } from '../../support/filesystem-assertions.ts';
import type { Start } from './subject.ts';

/** Tests of `getxattr`, `listxattr`, `setxattr` and `removexattr`. */
export function xattrTests(start: Start): void {
  describe('extended attributes', () => {
    test('a new object has none', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      expect(await fs.listxattr('file')).toEqual([]);
      expect(await fs.listxattr('folder')).toEqual([]);
      expect(await outcome(() => fs.getxattr('file', 'user.missing'))).toBe('ENODATA');
    });

    test('are set, read, listed, replaced and removed on files and folders', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      for (const path of ['file', 'folder', '']) {
        await fs.setxattr(path, 'user.one', '1');
        await fs.setxattr(path, 'user.two', 'second');
        await fs.setxattr(path, 'user.one', 'first');
        expect(await fs.listxattr(path)).toEqual(['user.one', 'user.two']);
        expect((await fs.getxattr(path, 'user.one')).toString()).toBe('first');
        await fs.removexattr(path, 'user.one');
        expect(await fs.listxattr(path)).toEqual(['user.two']);
        expect(await outcome(() => fs.getxattr(path, 'user.one'))).toBe('ENODATA');
      }
    });

    test('values are bytes, of no length up to thousands', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      for (const value of [Buffer.alloc(0), Buffer.from([0, 255, 10, 0]), Buffer.alloc(3000, 0xe9)]) {
        await fs.setxattr('file', 'user.value', value);
        expect(await fs.getxattr('file', 'user.value')).toEqual(value);
      }
    });

    test('names are bytes, up to 255 of them', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const names = ['user.caf\xe9', 'user.with space.and.dots', `user.${'n'.repeat(250)}`];
      for (const name of names) await fs.setxattr('file', name, name);
      expect(await fs.listxattr('file')).toEqual([...names].sort());
      for (const name of names) expect((await fs.getxattr('file', name)).toString()).toBe(name);
    });

    test('XATTR_CREATE is EEXIST for one that exists, XATTR_REPLACE ENODATA for one that does not', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.setxattr('file', 'user.one', '1', XATTR_CREATE);
      await expectFailure(fs, 'EEXIST', () => fs.setxattr('file', 'user.one', '2', XATTR_CREATE));
      await fs.setxattr('file', 'user.one', '3', XATTR_REPLACE);
      await expectFailure(fs, 'ENODATA', () => fs.setxattr('file', 'user.two', '4', XATTR_REPLACE));
      expect((await fs.getxattr('file', 'user.one')).toString()).toBe('3');
    });

    test('removing one that does not exist is ENODATA', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await expectFailure(fs, 'ENODATA', () => fs.removexattr('file', 'user.missing'));
    });

    test('a value beyond what xattr(7) allows fails', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const tooBig = Buffer.alloc(65_537);
      await expectFailure(fs, ['E2BIG', 'ENOSPC', 'ERANGE'], () => fs.setxattr('file', 'user.big', tooBig));
    });

    test('stay with the file through renames and are shared by its names', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.setxattr('file', 'user.one', '1');
      await fs.link('file', 'second');
      await fs.rename('file', 'renamed');
      await fs.setxattr('second', 'user.two', '2');
      expect(await fs.listxattr('renamed')).toEqual(['user.one', 'user.two']);
    });

    test('can be changed while the file is open but unlinked', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      await fs.setxattr('file', 'user.one', '1');
      await fs.unlink('file');
      const { filesystem, ctx } = fs;
      await filesystem.setxattr(attributes.ino, 'user.two', Buffer.from('2'), 0, ctx);
      const names = [...(await filesystem.listxattr(attributes.ino, ctx))].sort();
      expect(names).toEqual(['user.one', 'user.two']);
    });
  });
}
