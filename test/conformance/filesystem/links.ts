// Conformance: hard links, symbolic links, special files.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectFailure, outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

/** Tests of `link`, `symlink`, `readlink` and `mknod`. */
export function linkTests(start: Start): void {
  describe('link', () => {
    test('gives a file a second name: one inode, two links, the same content', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.writeFile('one', 'first');
      const linked = await fs.link('one', 'folder/two');
      expect(linked).toMatchObject({ ino: (await fs.stat('one')).ino, nlink: 2 });
      await fs.append('folder/two', ' second');
      expect(await fs.readText('one')).toBe('first second');
      await fs.setattr('one', { mode: 0o600 });
      expect((await fs.stat('folder/two')).mode & 0o777).toBe(0o600);
    });

    test('counts links as names come and go', async () => {
      const { fs } = await start();
      await fs.writeFile('0', 'content');
      for (let index = 1; index < 5; index++) await fs.link('0', `${index}`);
      expect((await fs.stat('3')).nlink).toBe(5);
      await fs.unlink('0');
      await fs.unlink('2');
      expect((await fs.stat('4')).nlink).toBe(3);
      expect(await fs.readText('1')).toBe('content');
    });

    test('to a folder is EPERM', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await expectFailure(fs, 'EPERM', () => fs.link('folder', 'new'));
    });

    test('onto a name that exists is EEXIST', async () => {
      const { fs } = await start();
      await fs.writeFile('one', '1');
      await fs.writeFile('two', '2');
      await fs.mkdir('folder');
      await expectFailure(fs, 'EEXIST', () => fs.link('one', 'two'));
      await expectFailure(fs, 'EEXIST', () => fs.link('one', 'folder'));
      await expectFailure(fs, 'EEXIST', () => fs.link('one', 'one'));
    });

    test('of a file without any name is ENOENT', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      await fs.unlink('file');
      await expectFailure(fs, 'ENOENT', () => fs.filesystem.link(attributes.ino, ROOT, 'again', fs.ctx));
    });

    test('works for symlinks and fifos', async () => {
      const { fs } = await start();
      await fs.symlink('target', 'symlink');
      await fs.mknod('fifo', constants.S_IFIFO | 0o644);
      await fs.link('symlink', 'symlink-2');
      await fs.link('fifo', 'fifo-2');
      expect(await fs.readlink('symlink-2')).toBe('target');
      expect((await fs.stat('symlink')).nlink).toBe(2);
      expect((await fs.stat('fifo-2')).nlink).toBe(2);
    });
  });

  describe('symlink and readlink', () => {
    test('keep the target byte for byte, whatever it is', async () => {
      const { fs } = await start();
      const targets = [
        'target',
        '/absolute',
        '../..',
        'caf\xe9\xff',
        'a b\n',
        'x'.repeat(1000),
        'y'.repeat(4095),
      ];
      for (const [index, target] of targets.entries()) {
        await fs.symlink(target, `${index}`);
        expect(await fs.readlink(`${index}`)).toBe(target);
        expect(await fs.stat(`${index}`)).toMatchObject({
          size: target.length,
          mode: constants.S_IFLNK | 0o777,
        });
      }
    });

    test('an existing name is EEXIST', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept');
      await expectFailure(fs, 'EEXIST', () => fs.symlink('target', 'file'));
    });

    test('readlink of what is not a symlink is EINVAL', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      expect(await outcome(() => fs.readlink('file'))).toBe('EINVAL');
      expect(await outcome(() => fs.readlink('folder'))).toBe('EINVAL');
    });

    test('belong to the caller', async () => {
      const { fs } = await start();
      expect(await fs.as(otherOwner).symlink('target', 'symlink')).toMatchObject(otherOwner);
    });
  });

  describe('mknod', () => {
    const types = { fifo: constants.S_IFIFO, socket: constants.S_IFSOCK, file: constants.S_IFREG };
    for (const [title, type] of Object.entries(types)) {
      test(`makes a ${title}`, async () => {
        const { fs } = await start();
        const made = { ...(await fs.as(otherOwner).mknod('node', type | 0o640)) };
        expect(made).toMatchObject({ mode: type | 0o640, nlink: 1, size: 0, ...otherOwner });
        expect(await fs.stat('node')).toEqual(made);
      });
    }

    test('a mode without a type makes a regular file, which can be written', async () => {
      const { fs } = await start();
      await fs.mknod('file', 0o644);
      await fs.append('file', 'content');
      expect(await fs.readText('file')).toBe('content');
    });

    test('an existing name is EEXIST', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept');
      await expectFailure(fs, 'EEXIST', () => fs.mknod('file', constants.S_IFIFO | 0o644));
    });
  });
}
