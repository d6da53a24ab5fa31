// Conformance: reading and changing attributes.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  ctimeOf,
  expectFailure,
  mtimeOf,
  nanoseconds,
  outcome,
} from '../../support/filesystem-assertions.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

/** Tests of `getattr` and `setattr`. */
export function attributeTests(start: Start): void {
  describe('getattr', () => {
    test('a new file has its mode, one link, no bytes and the owner that made it', async () => {
      const { fs } = await start();
      const { attributes } = await fs.as(otherOwner).create('file', { mode: 0o640 });
      expect(attributes).toMatchObject({
        mode: constants.S_IFREG | 0o640,
        nlink: 1,
        size: 0,
        ...otherOwner,
      });
    });

    test('sizes follow the content, blocks count 512 bytes', async () => {
      const { fs } = await start();
      await fs.writeFile('file', Buffer.alloc(100_000, 1));
      const { size, blocks } = await fs.stat('file');
      expect(size).toBe(100_000);
      expect(blocks * 512).toBeGreaterThanOrEqual(100_000);
      expect(blocks * 512).toBeLessThan(200_000);
    });

    test('through a handle it describes the open file', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'abc');
      const seen = await fs.getattr(attributes.ino, fh);
      expect(seen).toMatchObject({ ino: attributes.ino, size: 3, nlink: 1 });
      expect(seen).toEqual(await fs.getattr(attributes.ino));
    });

    test('a new object is stamped with the time of now', async () => {
      const { fs } = await start();
      const before = BigInt(Date.now() - 1000) * 1_000_000n;
      await fs.mkdir('folder');
      const after = BigInt(Date.now() + 1000) * 1_000_000n;
      const folder = await fs.stat('folder');
      for (const time of [mtimeOf(folder), ctimeOf(folder)]) expect(time > before && time < after).toBe(true);
    });
  });

  describe('setattr', () => {
    test('changes the permission bits of files and folders, and not their type', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      for (const mode of [0o4711, 0o2750, 0o1777, 0, 0o644]) {
        expect((await fs.setattr('file', { mode })).mode).toBe(constants.S_IFREG | mode);
        expect((await fs.setattr('folder', { mode })).mode).toBe(constants.S_IFDIR | mode);
        expect((await fs.stat('file')).mode).toBe(constants.S_IFREG | mode);
        expect((await fs.stat('folder')).mode).toBe(constants.S_IFDIR | mode);
      }
    });

    test('ignores type bits in a mode', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      expect((await fs.setattr('file', { mode: constants.S_IFREG | 0o600 })).mode).toBe(
        constants.S_IFREG | 0o600,
      );
    });

    test('changes owner and group one by one and together, of each kind of object', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      await fs.symlink('target', 'symlink');
      await fs.mknod('fifo', constants.S_IFIFO | 0o644);
      for (const path of ['file', 'folder', 'symlink', 'fifo']) {
        const { uid, gid } = await fs.stat(path);
        await fs.setattr(path, { uid: otherOwner.uid });
        expect(await fs.stat(path)).toMatchObject({ uid: otherOwner.uid, gid });
        await fs.setattr(path, { gid: otherOwner.gid });
        expect(await fs.stat(path)).toMatchObject(otherOwner);
        await fs.setattr(path, { uid, gid });
        expect(await fs.stat(path)).toMatchObject({ uid, gid });
      }
    });

    test('shrinks a file', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abcdef');
      expect((await fs.setattr('file', { size: 3 })).size).toBe(3);
      expect(await fs.readText('file')).toBe('abc');
    });

    test('grows a file with zeros, also over what was cut off before', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abcdef');
      await fs.setattr('file', { size: 2 });
      await fs.setattr('file', { size: 5 });
      expect(await fs.readText('file')).toBe('ab\0\0\0');
      await fs.setattr('file', { size: 1_000_000 });
      expect((await fs.readFile('file')).length).toBe(1_000_000);
    });

    test('grows a file beyond 4 GiB without using the space', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abc');
      const size = 5 * 2 ** 30 + 7;
      expect((await fs.setattr('file', { size })).size).toBe(size);
      const { blocks } = await fs.stat('file');
      expect(blocks * 512).toBeLessThan(2 ** 20);
      const fh = await fs.open('file');
      expect(await fs.read(fh, size - 3, 10)).toEqual(Buffer.alloc(3));
    });

    test('changes the size through a handle, also of an unlinked file', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'abcdef');
      await fs.filesystem.setattr(attributes.ino, { size: 4, fh }, fs.ctx);
      expect(await fs.readText('file')).toBe('abcd');
      await fs.unlink('file');
      await fs.filesystem.setattr(attributes.ino, { size: 2, fh }, fs.ctx);
      expect((await fs.read(fh)).toString()).toBe('ab');
    });

    test('sets times to the nanosecond, before 1970 and after 2038 too', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await fs.mkdir('folder');
      await fs.symlink('target', 'symlink');
      const times = [
        { seconds: 1_000_000_000, nanoseconds: 123_456_789 },
        { seconds: 5_000_000_000, nanoseconds: 1 },
        { seconds: 0, nanoseconds: 0 },
        { seconds: -86_400, nanoseconds: 999_999_999 },
      ];
      for (const path of ['file', 'folder', 'symlink']) {
        for (const time of times) {
          await fs.setattr(path, { mtime: time, atime: { seconds: time.seconds + 1, nanoseconds: 42 } });
          expect(await fs.stat(path)).toMatchObject({
            mtime: time.seconds,
            mtimeNsec: time.nanoseconds,
            atime: time.seconds + 1,
            atimeNsec: 42,
          });
        }
      }
    });

    test('sets one time and leaves the other', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const old = { seconds: 1000, nanoseconds: 5 };
      await fs.setattr('file', { atime: old, mtime: old });
      await fs.setattr('file', { atime: { seconds: 2000, nanoseconds: 6 } });
      expect(await fs.stat('file')).toMatchObject({ atime: 2000, atimeNsec: 6, mtime: 1000, mtimeNsec: 5 });
      await fs.setattr('file', { mtime: { seconds: 3000, nanoseconds: 7 } });
      expect(await fs.stat('file')).toMatchObject({ atime: 2000, atimeNsec: 6, mtime: 3000, mtimeNsec: 7 });
    });

    test("sets times to 'now'", async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const old = { seconds: 1000, nanoseconds: 0 };
      await fs.setattr('file', { atime: old, mtime: old });
      const before = BigInt(Date.now() - 1000) * 1_000_000n;
      const { atime, atimeNsec, ...rest } = await fs.setattr('file', { atime: 'now', mtime: 'now' });
      expect(nanoseconds({ seconds: atime, nanoseconds: atimeNsec }) > before).toBe(true);
      expect(mtimeOf({ atime, atimeNsec, ...rest }) > before).toBe(true);
    });

    test('an explicit mtime wins over the one that a new size brings', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abc');
      await fs.setattr('file', { size: 1, mtime: { seconds: 77, nanoseconds: 8 } });
      expect(await fs.stat('file')).toMatchObject({ size: 1, mtime: 77, mtimeNsec: 8 });
    });

    test('returns what getattr returns', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'abc');
      const returned = await fs.setattr('file', {
        mode: 0o600,
        size: 2,
        mtime: { seconds: 9, nanoseconds: 9 },
      });
      expect(returned).toEqual(await fs.stat('file'));
    });

    test('the mode of a symlink is EOPNOTSUPP, as Linux has it', async () => {
      const { fs } = await start();
      await fs.symlink('target', 'symlink');
      await expectFailure(fs, 'EOPNOTSUPP', () => fs.setattr('symlink', { mode: 0o600 }));
    });

    test('the size of a folder is EISDIR, of other objects EINVAL', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.mknod('fifo', constants.S_IFIFO | 0o644);
      await expectFailure(fs, 'EISDIR', () => fs.setattr('folder', { size: 0 }));
      expect(await outcome(() => fs.setattr('fifo', { size: 0 }))).toBe('EINVAL');
    });
  });
}
