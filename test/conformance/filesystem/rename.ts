// Conformance: renaming, with every combination of what moves and what is in the way.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../../src/fuse/filesystem.ts';
import { expectFailure } from '../../support/filesystem-assertions.ts';
import type { FilesystemClient } from '../../support/filesystem-client.ts';
import type { Start } from './subject.ts';

const makers: Record<string, (fs: FilesystemClient, path: string) => Promise<unknown>> = {
  file: (fs, path) => fs.writeFile(path, `content of ${path}`),
  'empty folder': (fs, path) => fs.mkdir(path),
  'full folder': async (fs, path) => {
    await fs.mkdir(path);
    await fs.writeFile(`${path}/inside`, `inside ${path}`);
  },
  symlink: (fs, path) => fs.symlink(`target of ${path}`, path),
  fifo: (fs, path) => fs.mknod(path, constants.S_IFIFO | 0o644),
};

/** What rename does with `source` onto `target`: an errno, or undefined for success. */
function expectedErrno(source: string, target: string): string | undefined {
  const sourceIsFolder = source.endsWith('folder');
  const targetIsFolder = target.endsWith('folder');
  if (sourceIsFolder && !targetIsFolder) return 'ENOTDIR';
  if (!sourceIsFolder && targetIsFolder) return 'EISDIR';
  return target === 'full folder' ? 'ENOTEMPTY' : undefined;
}

/** Tests of `rename` and its flags. */
export function renameTests(start: Start): void {
  describe('rename', () => {
    for (const kind of Object.keys(makers)) {
      test(`moves a ${kind} within a folder and to another, and keeps its inode number`, async () => {
        const { fs } = await start();
        await makers[kind]?.(fs, 'old');
        await fs.mkdir('elsewhere');
        const { ino } = await fs.stat('old');
        await fs.rename('old', 'new');
        expect(await fs.names('')).toEqual(['elsewhere', 'new']);
        await fs.rename('new', 'elsewhere/newer');
        expect(await fs.names('')).toEqual(['elsewhere']);
        expect((await fs.stat('elsewhere/newer')).ino).toBe(ino);
        if (kind === 'full folder') {
          expect(await fs.readText('elsewhere/newer/inside')).toBe('inside old');
          const dotDot = (await fs.readdirOnce(ino)).find(({ name }) => name === '..');
          expect(dotDot?.ino).toBe(await fs.resolve('elsewhere'));
        }
      });
    }

    for (const source of Object.keys(makers)) {
      for (const target of Object.keys(makers)) {
        const errno = expectedErrno(source, target);
        test(`a ${source} over a ${target} ${errno === undefined ? 'replaces it' : `is ${errno}`}`, async () => {
          const { fs } = await start();
          await fs.mkdir('a');
          await fs.mkdir('b');
          await makers[source]?.(fs, 'a/source');
          await makers[target]?.(fs, 'b/target');
          const moved = await fs.stat('a/source');
          if (errno !== undefined) {
            await expectFailure(fs, errno, () => fs.rename('a/source', 'b/target'));
            return;
          }
          await fs.rename('a/source', 'b/target');
          expect(await fs.names('a')).toEqual([]);
          expect(await fs.names('b')).toEqual(['target']);
          expect(await fs.stat('b/target')).toMatchObject({
            ino: moved.ino,
            mode: moved.mode,
            size: moved.size,
          });
        });
      }
    }

    test('a missing source is ENOENT, whatever the flags', async () => {
      const { fs } = await start();
      await fs.writeFile('target', '');
      for (const flags of [0, RENAME_NOREPLACE, RENAME_EXCHANGE]) {
        await expectFailure(fs, 'ENOENT', () => fs.rename('missing', 'target', flags));
      }
    });

    test('onto itself changes nothing', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'kept');
      await makers['full folder']?.(fs, 'folder');
      await fs.rename('file', 'file');
      await fs.rename('folder', 'folder');
      expect(await fs.names('')).toEqual(['file', 'folder']);
      expect(await fs.readText('file')).toBe('kept');
      expect(await fs.names('folder')).toEqual(['inside']);
    });

    test('of one name over another name of the same file keeps both', async () => {
      const { fs } = await start();
      await fs.writeFile('one', 'content');
      await fs.link('one', 'two');
      await fs.rename('one', 'two');
      expect(await fs.names('')).toEqual(['one', 'two']);
      expect((await fs.stat('one')).nlink).toBe(2);
    });

    test('over one of several names of another file takes one link from it', async () => {
      const { fs } = await start();
      await fs.writeFile('one', 'old');
      await fs.link('one', 'two');
      await fs.writeFile('new', 'new');
      await fs.rename('new', 'two');
      expect((await fs.stat('one')).nlink).toBe(1);
      expect(await fs.readText('one')).toBe('old');
      expect(await fs.readText('two')).toBe('new');
    });

    test('of a folder into itself or below is EINVAL', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.mkdir('folder/sub');
      await expectFailure(fs, 'EINVAL', () => fs.rename('folder', 'folder/new'));
      await expectFailure(fs, 'EINVAL', () => fs.rename('folder', 'folder/sub/new'));
    });

    test('over a folder that holds the source is ENOTEMPTY', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.mkdir('folder/sub');
      await fs.mkdir('folder/sub/deeper');
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rename('folder/sub', 'folder'));
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rename('folder/sub/deeper', 'folder'));
    });

    test('a folder keeps what is in it, deep', async () => {
      const { fs } = await start();
      await fs.mkdir('a');
      await fs.mkdir('a/b');
      await fs.mkdir('a/b/c');
      await fs.writeFile('a/b/c/file', 'deep');
      const { ino } = await fs.stat('a/b/c/file');
      await fs.rename('a', 'z');
      await fs.rename('z/b', 'y');
      expect(await fs.readText('y/c/file')).toBe('deep');
      expect((await fs.stat('y/c/file')).ino).toBe(ino);
      expect(await fs.names('z')).toEqual([]);
      await fs.mkdir('a');
      expect(await fs.names('a')).toEqual([]);
    });

    test('back and forth many times ends where it began', async () => {
      const { fs } = await start();
      await makers['full folder']?.(fs, 'a');
      await fs.mkdir('other');
      for (let round = 0; round < 10; round++) {
        await fs.rename('a', 'other/b');
        await fs.rename('other/b', 'a');
      }
      expect(await fs.readText('a/inside')).toBe('inside a');
      expect(await fs.names('other')).toEqual([]);
    });

    test('unknown flags are EINVAL', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await expectFailure(fs, 'EINVAL', () => fs.rename('file', 'new', 0x100));
      await expectFailure(fs, 'EINVAL', () => fs.rename('file', 'new', RENAME_EXCHANGE | RENAME_NOREPLACE));
    });
  });

  describe('rename with RENAME_NOREPLACE', () => {
    for (const kind of Object.keys(makers)) {
      test(`is EEXIST when a ${kind} is in the way, and moves when nothing is`, async () => {
        const { fs } = await start();
        await fs.writeFile('source', 'moved');
        await makers[kind]?.(fs, 'target');
        await expectFailure(fs, 'EEXIST', () => fs.rename('source', 'target', RENAME_NOREPLACE));
        await fs.rename('source', 'free', RENAME_NOREPLACE);
        expect(await fs.names('')).toEqual(['free', 'target']);
      });
    }
  });

  describe('rename with RENAME_EXCHANGE', () => {
    for (const one of Object.keys(makers)) {
      for (const other of ['file', 'full folder', 'symlink']) {
        test(`swaps a ${one} and a ${other} across folders`, async () => {
          const { fs } = await start();
          await fs.mkdir('a');
          await fs.mkdir('b');
          await makers[one]?.(fs, 'a/x');
          await makers[other]?.(fs, 'b/y');
          const [x, y] = [await fs.stat('a/x'), await fs.stat('b/y')];
          await fs.rename('a/x', 'b/y', RENAME_EXCHANGE);
          expect(await fs.stat('a/x')).toMatchObject({ ino: y.ino, mode: y.mode, size: y.size });
          expect(await fs.stat('b/y')).toMatchObject({ ino: x.ino, mode: x.mode, size: x.size });
          if (other === 'full folder') expect(await fs.readText('a/x/inside')).toBe('inside b/y');
          if (one === 'full folder') expect(await fs.readText('b/y/inside')).toBe('inside a/x');
        });
      }
    }

    test('is ENOENT when there is nothing to swap with', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      await expectFailure(fs, 'ENOENT', () => fs.rename('file', 'missing', RENAME_EXCHANGE));
    });

    test('of a folder with something in it is EINVAL', async () => {
      const { fs } = await start();
      await makers['full folder']?.(fs, 'folder');
      await expectFailure(fs, 'EINVAL', () => fs.rename('folder', 'folder/inside', RENAME_EXCHANGE));
      await expectFailure(fs, 'EINVAL', () => fs.rename('folder/inside', 'folder', RENAME_EXCHANGE));
    });
  });
}
