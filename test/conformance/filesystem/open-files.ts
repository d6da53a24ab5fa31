// Conformance: making and opening files, reading and writing them, and what becomes of files that are open.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectBytes, expectFailure, outcome } from '../../support/filesystem-assertions.ts';
import { randomBytes } from '../../support/random.ts';
import type { Start } from './subject.ts';

/** Tests of `create`, `open`, `read`, `write`, `fsync` and `release`. */
export function openFileTests(start: Start): void {
  describe('tmpfile', () => {
    test('makes a file that nobody sees until it is linked', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      const { fh, attributes } = await fs.tmpfile('folder', 0o640);
      expect(attributes).toMatchObject({ mode: constants.S_IFREG | 0o640, nlink: 0, size: 0 });
      await fs.write(fh, 'content');
      expect((await fs.getattr(attributes.ino, fh)).size).toBe(7);
      expect(await fs.names('folder')).toEqual([]);
      const folder = await fs.resolve('folder');
      const linked = fs.count(await fs.filesystem.link(attributes.ino, folder, 'name', fs.ctx));
      expect(linked).toMatchObject({ ino: attributes.ino, nlink: 1, size: 7 });
      expect(await fs.readText('folder/name')).toBe('content');
      await fs.unlink('folder/name');
      expect((await fs.read(fh)).toString()).toBe('content');
    });

    test('in a removed folder is ENOENT, in a file ENOTDIR', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      const { ino } = await fs.mkdir('folder');
      await fs.rmdir('folder');
      const make = (parent: number): unknown =>
        fs.filesystem.tmpfile(parent, 0o600, constants.O_RDWR, fs.ctx);
      expect(await outcome(() => make(ino))).toBe('ENOENT');
      expect(await outcome(() => make(attributes.ino))).toBe('ENOTDIR');
    });
  });

  describe('create', () => {
    test('makes an empty file and opens it', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file', { mode: 0o600 });
      expect(await fs.read(fh)).toEqual(Buffer.alloc(0));
      expect((await fs.stat('file')).mode).toBe(constants.S_IFREG | 0o600);
    });

    test('with O_EXCL an existing name of any kind is EEXIST', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept');
      await fs.mkdir('folder');
      await fs.symlink('nowhere', 'symlink');
      for (const path of ['file', 'folder', 'symlink']) {
        await expectFailure(fs, 'EEXIST', () =>
          fs.create(path, { flags: constants.O_RDWR | constants.O_EXCL }),
        );
      }
    });

    test('without O_EXCL it opens the file that is there, with its mode and content', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept', 0o600);
      const { fh, attributes } = await fs.create('file', { mode: 0o777 });
      expect(attributes.mode & 0o777).toBe(0o600);
      expect((await fs.read(fh)).toString()).toBe('kept');
    });

    test('without O_EXCL but with O_TRUNC it empties the file that is there', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'gone');
      await fs.create('file', { flags: constants.O_RDWR | constants.O_TRUNC });
      expect((await fs.stat('file')).size).toBe(0);
    });

    test('a folder of that name is EISDIR', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await expectFailure(fs, ['EISDIR', 'EEXIST'], () => fs.create('folder'));
    });

    test('in a file is ENOTDIR, in a removed folder ENOENT', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      const create = (ino: number): unknown =>
        fs.filesystem.create(ino, 'new', 0o644, constants.O_RDWR, fs.ctx);
      expect(await outcome(() => create(attributes.ino))).toBe('ENOTDIR');
      const { ino } = await fs.mkdir('folder');
      await fs.rmdir('folder');
      expect(await outcome(() => create(ino))).toBe('ENOENT');
    });

    test('a file without write permission can still be written through the handle that made it', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file', { mode: 0o400 });
      await fs.write(fh, 'written');
      expect((await fs.read(fh)).toString()).toBe('written');
    });
  });

  describe('open', () => {
    test('with O_TRUNC empties the file', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'content');
      await fs.open('file', constants.O_WRONLY | constants.O_TRUNC);
      expect((await fs.stat('file')).size).toBe(0);
    });

    test('of a folder for writing is EISDIR', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      expect(await outcome(() => fs.open('folder', constants.O_WRONLY))).toBe('EISDIR');
    });

    test('handles are unique and see what the others write', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      const reader = await fs.open('file');
      const writer = await fs.open('file', constants.O_RDWR);
      expect(new Set([fh, reader, writer]).size).toBe(3);
      await fs.write(fh, 'one');
      await fs.write(writer, 'two', 3);
      expect((await fs.read(reader)).toString()).toBe('onetwo');
    });
  });

  describe('read and write', () => {
    test('reads stop at the end of the file, and give nothing beyond it', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abcdef');
      const fh = await fs.open('file');
      expect((await fs.read(fh, 4, 100)).toString()).toBe('ef');
      expect((await fs.read(fh, 6, 100)).length).toBe(0);
      expect((await fs.read(fh, 1_000_000, 100)).length).toBe(0);
      expect((await fs.read(fh, 1, 2)).toString()).toBe('bc');
    });

    test('writes replace what is at their position and return how much they wrote', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      expect(await fs.write(fh, 'abcdef')).toBe(6);
      expect(await fs.write(fh, 'XY', 2)).toBe(2);
      expect((await fs.read(fh)).toString()).toBe('abXYef');
    });

    test('a write beyond the end leaves zeros between', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, 'a');
      await fs.write(fh, 'b', 10_000);
      const content = await fs.read(fh);
      expect(content.length).toBe(10_001);
      expect(content.subarray(1, 10_000).every((byte) => byte === 0)).toBe(true);
      expect(content.toString('latin1', 10_000)).toBe('b');
    });

    test('a write of nothing changes nothing', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      expect(await fs.write(fh, '', 100)).toBe(0);
      expect((await fs.stat('file')).size).toBe(0);
    });

    test('with O_APPEND each write goes to the end, whatever its position says', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'start ');
      const first = await fs.open('file', constants.O_WRONLY | constants.O_APPEND);
      const second = await fs.open('file', constants.O_WRONLY | constants.O_APPEND);
      await fs.write(first, 'one ', 0);
      await fs.write(second, 'two ', 0);
      await fs.write(first, 'three', 2);
      expect(await fs.readText('file')).toBe('start one two three');
    });

    test('large contents come back as they were written, in pieces of any size', async () => {
      const { fs } = await start();
      const content = randomBytes(3_000_000, 7);
      const { fh } = await fs.create('file');
      for (let position = 0; position < content.length; position += 131_072 + 13) {
        await fs.write(fh, content.subarray(position, position + 131_072 + 13), position);
      }
      for (const [position, length] of [
        [0, 3_000_000],
        [1, 4095],
        [4095, 2],
        [2_999_999, 5],
        [65_536, 131_072],
      ] as const) {
        expectBytes(await fs.read(fh, position, length), content.subarray(position, position + length));
      }
    });

    test('the buffer of a write may be reused once it is done', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      const buffer = Buffer.from('first');
      await fs.write(fh, buffer);
      buffer.fill('x');
      expect((await fs.read(fh)).toString()).toBe('first');
    });

    test('a handle that was never given out is EBADF', async () => {
      const { fs } = await start();
      expect(await outcome(() => fs.read(123_456_789))).toBe('EBADF');
      expect(await outcome(() => fs.write(123_456_789, 'x'))).toBe('EBADF');
    });

    test('fsync and fsyncdir succeed, with and without metadata', async () => {
      const { fs } = await start();
      const { ino } = await fs.mkdir('folder');
      const { fh } = await fs.create('folder/file');
      await fs.write(fh, 'synced');
      for (const dataOnly of [true, false]) {
        await fs.fsync(fh, dataOnly);
        await fs.filesystem.fsyncdir(ino, dataOnly, fs.ctx);
        await fs.filesystem.fsyncdir(1, dataOnly, fs.ctx);
      }
      expect(await fs.readText('folder/file')).toBe('synced');
    });
  });

  describe('open files survive', () => {
    test('the removal of their name: content stays readable and writable, and has no link', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'before');
      await fs.unlink('file');
      expect(await fs.exists('file')).toBe(false);
      await fs.write(fh, ' after', 6);
      expect((await fs.read(fh)).toString()).toBe('before after');
      expect(await fs.getattr(attributes.ino, fh)).toMatchObject({ nlink: 0, size: 12 });
      expect(await fs.getattr(attributes.ino)).toMatchObject({ nlink: 0, size: 12 });
    });

    test('the removal of their name and its reuse by another file', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'old');
      await fs.unlink('file');
      await fs.writeFile('file', 'new');
      expect((await fs.read(fh)).toString()).toBe('old');
      expect((await fs.stat('file')).ino).not.toBe(attributes.ino);
      await fs.write(fh, 'OLD');
      expect(await fs.readText('file')).toBe('new');
    });

    test('a rename, and write to the file under its new name', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      const { fh, attributes } = await fs.create('file');
      await fs.rename('file', 'folder/renamed');
      await fs.write(fh, 'written');
      expect(await fs.readText('folder/renamed')).toBe('written');
      expect((await fs.stat('folder/renamed')).ino).toBe(attributes.ino);
    });

    test('being replaced by a rename', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'old');
      await fs.writeFile('other', 'new');
      await fs.rename('other', 'file');
      expect((await fs.read(fh)).toString()).toBe('old');
      expect((await fs.getattr(attributes.ino, fh)).nlink).toBe(0);
      expect(await fs.readText('file')).toBe('new');
    });

    test('changes of mode and owner of an unlinked file through its number', async () => {
      const { fs } = await start();
      const { attributes } = await fs.create('file');
      await fs.unlink('file');
      const mtime = { seconds: 5, nanoseconds: 6 };
      await fs.filesystem.setattr(attributes.ino, { mode: 0o600, mtime }, fs.ctx);
      expect(await fs.getattr(attributes.ino)).toMatchObject({
        mode: constants.S_IFREG | 0o600,
        mtime: 5,
        mtimeNsec: 6,
        nlink: 0,
      });
    });

    test('one of two opens of an unlinked file being closed', async () => {
      const { fs } = await start();
      const { fh } = await fs.create('file');
      await fs.write(fh, 'content');
      const second = await fs.open('file');
      await fs.unlink('file');
      fs.close(fh);
      expect((await fs.read(second)).toString()).toBe('content');
    });
  });
}
