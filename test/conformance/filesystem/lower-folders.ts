// Conformance: changing folders that lie in a read-only lower tree.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RENAME_EXCHANGE } from '../../../src/fuse/filesystem.ts';
import { expectFailure, outcome, timesMoved, treeState } from '../../support/filesystem-assertions.ts';
import { lowerSeed } from '../../support/seed-tree.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

/** Tests of folders of a lower tree. */
export function lowerFolderTests(start: Start): void {
  describe('lower folders', () => {
    test('take new files beside the old ones', async () => {
      const { fs } = await start(lowerSeed);
      await fs.writeFile('docs/deep/er/est/new', 'new');
      await fs.mkdir('docs/deep/folder');
      expect(await fs.names('docs/deep/er/est')).toEqual(['leaf.txt', 'new']);
      expect(await fs.names('docs/deep')).toEqual(['er', 'folder', 'note.txt']);
      expect(await fs.readText('docs/deep/er/est/leaf.txt')).toBe('leaf\n');
    });

    test('are ENOTEMPTY until everything in them was removed', async () => {
      const { fs } = await start(lowerSeed);
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rmdir('src'));
      await fs.unlink('src/main.ts');
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rmdir('src'));
      await fs.remove('src/util');
      await fs.rmdir('src');
      expect(await fs.exists('src')).toBe(false);
      expect(await outcome(() => fs.stat('src/main.ts'))).toBe('ENOENT');
    });

    test('that were removed and made again are empty, and stay so after changes in them', async () => {
      const { fs } = await start(lowerSeed);
      await fs.remove('docs');
      await fs.mkdir('docs');
      expect(await fs.names('docs')).toEqual([]);
      expect(await outcome(() => fs.stat('docs/a.md'))).toBe('ENOENT');
      await fs.mkdir('docs/deep');
      expect(await fs.names('docs/deep')).toEqual([]);
      await fs.writeFile('docs/a.md', 'new');
      expect(await fs.names('docs')).toEqual(['a.md', 'deep']);
      await fs.unlink('docs/a.md');
      await fs.rmdir('docs/deep');
      await fs.rmdir('docs');
      expect(await fs.exists('docs')).toBe(false);
    });

    test('are replaced by files and symlinks', async () => {
      const { fs } = await start(lowerSeed);
      await fs.remove('docs');
      await fs.writeFile('docs', 'a file');
      expect(await fs.readText('docs')).toBe('a file');
      await fs.remove('src');
      await fs.symlink('many', 'src');
      expect(await fs.readlink('src')).toBe('many');
      await fs.unlink('docs');
      await fs.mkdir('docs');
      expect(await fs.names('docs')).toEqual([]);
    });

    test('move with all that is in them, and keep the numbers', async () => {
      const { fs } = await start(lowerSeed);
      const leaf = await fs.stat('docs/deep/er/est/leaf.txt');
      const folder = await fs.stat('docs');
      await fs.rename('docs', 'documents');
      expect(await fs.exists('docs')).toBe(false);
      expect((await fs.stat('documents')).ino).toBe(folder.ino);
      expect(await fs.names('documents')).toEqual(['a.md', 'b.md', 'deep', 'link']);
      expect(await fs.readText('documents/deep/er/est/leaf.txt')).toBe('leaf\n');
      expect((await fs.stat('documents/deep/er/est/leaf.txt')).ino).toBe(leaf.ino);
    });

    test('that moved can be changed, and parts of them move on', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs', 'src/util/documents');
      await fs.append('src/util/documents/deep/note.txt', 'more\n');
      await fs.rename('src/util/documents/deep/er', 'er');
      await fs.rename('src', 'source');
      expect(await fs.readText('source/util/documents/deep/note.txt')).toBe('note\nmore\n');
      expect(await fs.readText('er/est/leaf.txt')).toBe('leaf\n');
      expect(await fs.names('source/util/documents/deep')).toEqual(['note.txt']);
      await fs.writeFile('er/est/new', 'new');
      await fs.unlink('er/est/leaf.txt');
      expect(await fs.names('er/est')).toEqual(['new']);
    });

    test('that moved leave a free name: what is made there is new and empty', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs', 'moved');
      await fs.mkdir('docs');
      expect(await fs.names('docs')).toEqual([]);
      await fs.writeFile('docs/a.md', 'new');
      expect(await fs.readText('moved/a.md')).toBe('a\n');
      expect(await fs.readText('docs/a.md')).toBe('new');
      expect(await fs.names('docs')).toEqual(['a.md']);
    });

    test('move there and back, with changes on the way', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs', 'away');
      await fs.unlink('away/a.md');
      await fs.writeFile('away/c.md', 'c');
      await fs.rename('away', 'docs');
      expect(await fs.names('docs')).toEqual(['b.md', 'c.md', 'deep', 'link']);
      expect(await fs.readText('docs/b.md')).toBe('bb\n');
      expect(await fs.exists('away')).toBe(false);
    });

    test('move over folders that were emptied', async () => {
      const { fs } = await start(lowerSeed);
      expect(await outcome(() => fs.rename('docs', 'src'))).toBe('ENOTEMPTY');
      await fs.unlink('src/main.ts');
      await fs.remove('src/util');
      await fs.rename('docs', 'src');
      expect(await fs.names('src')).toEqual(['a.md', 'b.md', 'deep', 'link']);
      expect(await outcome(() => fs.stat('src/main.ts'))).toBe('ENOENT');
      expect(await fs.readText('src/deep/er/est/leaf.txt')).toBe('leaf\n');
    });

    test('are exchanged with each other and with new folders', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs', 'src', RENAME_EXCHANGE);
      expect(await fs.readText('src/deep/er/est/leaf.txt')).toBe('leaf\n');
      expect(await fs.readText('docs/util/one.ts')).toBe('1;\n');
      await fs.mkdir('new');
      await fs.writeFile('new/file', 'new');
      await fs.rename('new', 'many', RENAME_EXCHANGE);
      expect(await fs.names('many')).toEqual(['file']);
      expect((await fs.names('new')).length).toBe(120);
      expect(await fs.readText('new/file-7')).toBe('7\n');
    });

    test('swap their names in three moves', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs', 'temporary');
      await fs.rename('src', 'docs');
      await fs.rename('temporary', 'src');
      expect(await fs.names('docs')).toEqual(['main.ts', 'util']);
      expect(await fs.names('src')).toEqual(['a.md', 'b.md', 'deep', 'link']);
      expect(await fs.readText('docs/util/two.ts')).toBe('2;\n');
    });

    test('that hold a removed file still do not have it after they moved', async () => {
      const { fs } = await start(lowerSeed);
      await fs.unlink('docs/a.md');
      await fs.remove('docs/deep/er');
      await fs.rename('docs', 'moved');
      expect(await fs.names('moved')).toEqual(['b.md', 'deep', 'link']);
      expect(await fs.names('moved/deep')).toEqual(['note.txt']);
    });

    test('change mode, owner, times and attributes without losing what is in them', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('docs');
      await fs.setattr('docs', { mode: 0o700, uid: otherOwner.uid, mtime: { seconds: 5, nanoseconds: 6 } });
      await fs.setxattr('docs', 'user.one', '1');
      expect(await fs.stat('docs')).toMatchObject({
        ino,
        mode: 0o040700,
        uid: otherOwner.uid,
        mtime: 5,
        mtimeNsec: 6,
      });
      expect(await fs.names('docs')).toEqual(['a.md', 'b.md', 'deep', 'link']);
      expect(await fs.listxattr('docs')).toEqual(['user.one']);
    });

    test('get new times when something in them is made, removed or renamed', async () => {
      const { fs } = await start(lowerSeed);
      expect(await timesMoved(fs, 'docs', () => fs.unlink('docs/a.md'))).toBe('cm');
      expect(await timesMoved(fs, 'docs/deep', () => fs.mkdir('docs/deep/new'))).toBe('cm');
      expect(await timesMoved(fs, 'src', () => fs.rename('src/main.ts', 'src/moved.ts'))).toBe('cm');
      expect(await timesMoved(fs, 'src', () => fs.append('src/moved.ts', 'x'))).toBe('');
    });

    test('keep mtime when a file deep below is changed', async () => {
      const { fs } = await start(lowerSeed);
      const action = (): Promise<void> => fs.append('docs/deep/er/est/leaf.txt', 'more');
      for (const path of ['', 'docs', 'docs/deep/er', 'docs/deep/er/est']) {
        expect(await timesMoved(fs, path, action)).not.toContain('m');
      }
    });

    test('list what was added, without what was removed, in any size of steps', async () => {
      const { fs } = await start(lowerSeed);
      for (let index = 0; index < 120; index += 2) await fs.unlink(`many/file-${index}`);
      for (let index = 0; index < 30; index++) await fs.writeFile(`many/new-${index}`, '');
      await fs.writeFile('many/file-0', 'again');
      await fs.append('many/file-1', 'changed');
      const names = await fs.names('many');
      expect(names.length).toBe(60 + 30 + 1);
      for (const limit of [1, 10, 1000]) {
        for (const plus of [false, true]) expect(await fs.names('many', { limit, plus })).toEqual(names);
      }
    });

    test('give what stays exactly once when they change while they are listed', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('many');
      const seen: string[] = [];
      for (let offset = 0, round = 0; ; round++) {
        const [entry] = await fs.readdirOnce(ino, { offset, limit: 1, plus: round % 2 === 0 });
        if (entry === undefined) break;
        seen.push(entry.name);
        offset = entry.offset;
        if (round < 20) {
          await fs.unlink(`many/file-${round}`);
          await fs.append(`many/file-${119 - round}`, 'changed');
          await fs.writeFile(`many/new-${round}`, '');
        }
      }
      const stayed = Array.from({ length: 100 }, (_, index) => `file-${index + 20}`).sort();
      expect(seen.filter((name) => stayed.includes(name)).sort()).toEqual(stayed);
      expect(new Set(seen).size).toBe(seen.length);
    });

    test('list with the numbers and types that lookup gives, before and after changes', async () => {
      const { fs } = await start(lowerSeed);
      await fs.append('docs/a.md', 'changed');
      await fs.writeFile('docs/new', '');
      for (const plus of [false, true]) {
        for (const path of ['', 'docs', 'odd']) {
          for (const { name, ino, type, attributes } of await fs.list(path, { plus })) {
            const found = await fs.stat(path === '' ? name : `${path}/${name}`);
            expect({ name, ino, type }).toEqual({
              name,
              ino: found.ino,
              type: found.mode & constants.S_IFMT,
            });
            if (attributes !== undefined) expect(attributes).toEqual(found);
          }
        }
      }
    });

    test('can all be removed, and the tree is empty then', async () => {
      const { fs } = await start(lowerSeed);
      for (const { name, type } of await fs.list('')) {
        await (type === constants.S_IFDIR ? fs.remove(name) : fs.unlink(name));
      }
      expect(Object.keys(await treeState(fs))).toEqual(['']);
    });

    test('that show submodules are empty, take files, and can be removed', async () => {
      const { fs } = await start(lowerSeed);
      await fs.writeFile('vendor/module/file', 'new');
      expect(await fs.names('vendor/module')).toEqual(['file']);
      await fs.unlink('vendor/module/file');
      await fs.rmdir('vendor/module');
      expect(await fs.names('vendor')).toEqual([]);
    });

    test('that were removed while somebody is in them still take changes of attributes', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('vendor/module');
      await fs.rmdir('vendor/module');
      const changed = await fs.filesystem.setattr(ino, { mode: 0o700 }, fs.ctx);
      expect(changed).toMatchObject({ ino, mode: 0o040700, nlink: 0 });
      expect(await outcome(() => fs.filesystem.mkdir(ino, 'inside', 0o755, fs.ctx))).toBe('ENOENT');
    });

    test('keep their mode when something is made in them, and pass setgid on', async () => {
      const { fs } = await start(lowerSeed);
      await fs.setattr('docs', { mode: 0o2755, gid: otherOwner.gid });
      await fs.mkdir('docs/folder');
      expect(await fs.stat('docs/folder')).toMatchObject({ gid: otherOwner.gid, mode: 0o042755 });
      expect((await fs.stat('docs')).mode).toBe(0o042755);
    });

    test('refuse renames of the wrong kind and change nothing', async () => {
      const { fs } = await start(lowerSeed);
      await expectFailure(fs, 'EISDIR', () => fs.rename('README.md', 'docs'));
      await expectFailure(fs, 'ENOTDIR', () => fs.rename('docs', 'README.md'));
      await expectFailure(fs, 'EINVAL', () => fs.rename('docs', 'docs/deep/er/new'));
      await expectFailure(fs, 'ENOTEMPTY', () => fs.rename('src', 'docs'));
      await expectFailure(fs, 'EISDIR', () => fs.unlink('docs'));
      await expectFailure(fs, 'EEXIST', () => fs.mkdir('docs'));
      await expectFailure(fs, 'EPERM', () => fs.link('docs', 'new'));
    });
  });
}
