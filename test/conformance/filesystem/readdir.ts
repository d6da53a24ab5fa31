// Conformance: listing folders, also while they change, and giving references back.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { outcome } from '../../support/filesystem-assertions.ts';
import { type FilesystemClient, ROOT } from '../../support/filesystem-client.ts';
import type { Start } from './subject.ts';

async function makeFiles(fs: FilesystemClient, folder: string, count: number): Promise<string[]> {
  const ino = await fs.resolve(folder);
  const names = Array.from({ length: count }, (_, index) => `name-${index}`);
  for (const name of names)
    fs.count(await fs.filesystem.mknod(ino, name, constants.S_IFREG | 0o644, 0, fs.ctx));
  return names.sort();
}

/** Tests of `readdir` and `readdirplus`. */
export function readdirTests(start: Start): void {
  for (const plus of [false, true]) {
    describe(plus ? 'readdirplus' : 'readdir', () => {
      test('begins with `.` and `..`, with their numbers, also in an empty folder', async () => {
        const { fs } = await start();
        const outer = await fs.mkdir('outer');
        const inner = await fs.mkdir('outer/inner');
        const listed = await fs.readdirOnce(inner.ino, { plus });
        expect(listed.map(({ name, ino, type }) => ({ name, ino, type }))).toEqual([
          { name: '.', ino: inner.ino, type: constants.S_IFDIR },
          { name: '..', ino: outer.ino, type: constants.S_IFDIR },
        ]);
        expect((await fs.readdirOnce(ROOT, { plus })).slice(0, 2).map(({ name }) => name)).toEqual([
          '.',
          '..',
        ]);
      });

      test('gives each entry its type and the number that lookup gives', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        await fs.writeFile('file', 'abc');
        await fs.symlink('target', 'symlink');
        await fs.mknod('fifo', constants.S_IFIFO | 0o644);
        await fs.mknod('socket', constants.S_IFSOCK | 0o644);
        const listed = await fs.list('', { plus });
        expect(listed.length).toBe(5);
        for (const { name, ino, type, attributes } of listed) {
          const found = await fs.stat(name);
          expect({ name, ino, type }).toEqual({ name, ino: found.ino, type: found.mode & constants.S_IFMT });
          if (attributes !== undefined) expect(attributes).toEqual(found);
        }
      });

      test('goes on where a full sink stopped it, however small the sink', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        const names = await makeFiles(fs, 'folder', 40);
        for (const limit of [1, 2, 3, 7, 39, 42]) {
          expect(await fs.names('folder', { limit, plus })).toEqual(names);
        }
      });

      test('gives offsets that work in any order, as seekdir(3) uses them', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        await makeFiles(fs, 'folder', 20);
        const { ino } = await fs.stat('folder');
        const all = await fs.readdirOnce(ino, { plus });
        expect(new Set(all.map(({ offset }) => offset)).size).toBe(22);
        for (const index of [15, 3, 21, 0]) {
          const rest = await fs.readdirOnce(ino, { plus, offset: all[index]?.offset ?? -1 });
          expect(rest.map(({ name }) => name)).toEqual(all.slice(index + 1).map(({ name }) => name));
        }
      });

      test('of 10,000 entries gives each once', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        const names = await makeFiles(fs, 'folder', 10_000);
        expect(await fs.names('folder', { limit: 500, plus })).toEqual(names);
        expect(await fs.names('folder', { plus })).toEqual(names);
      });

      test('gives what stays exactly once while everything else is removed', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        const names = await makeFiles(fs, 'folder', 60);
        const kept = names.filter((_, index) => index % 3 === 0);
        const seen: string[] = [];
        const { ino } = await fs.stat('folder');
        const doomed = names.filter((name) => !kept.includes(name));
        for (let offset = 0; ;) {
          const [entry] = await fs.readdirOnce(ino, { plus, offset, limit: 1 });
          if (entry === undefined) break;
          seen.push(entry.name);
          offset = entry.offset;
          const victim = doomed.pop();
          if (victim !== undefined) await fs.unlink(`folder/${victim}`);
        }
        expect(seen.filter((name) => kept.includes(name)).sort()).toEqual(kept);
        expect(new Set(seen).size).toBe(seen.length);
      });

      test('gives what stays exactly once while names are added and renamed', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        const names = await makeFiles(fs, 'folder', 60);
        const seen: string[] = [];
        const { ino } = await fs.stat('folder');
        for (let offset = 0, round = 0; round < 1000; round++) {
          const [entry] = await fs.readdirOnce(ino, { plus, offset, limit: 1 });
          if (entry === undefined) break;
          seen.push(entry.name);
          offset = entry.offset;
          if (round < 30) {
            await fs.writeFile(`folder/added-${round}`, '');
            await fs.rename(`folder/added-${round}`, `folder/renamed-${round}`);
            await fs.rename(`folder/renamed-${round}`, `folder/${names[59 - round] ?? ''}`);
          }
        }
        expect(seen.filter((name) => names.includes(name)).sort()).toEqual(names);
      });

      test('removing while listing empties the folder, as rm -r does', async () => {
        const { fs } = await start();
        await fs.mkdir('folder');
        await makeFiles(fs, 'folder', 300);
        const { ino } = await fs.stat('folder');
        for (let offset = 0; ;) {
          const part = await fs.readdirOnce(ino, { plus, offset, limit: 20 });
          const last = part.at(-1);
          if (last === undefined) break;
          offset = last.offset;
          for (const { name } of part) if (!name.startsWith('.')) await fs.unlink(`folder/${name}`);
        }
        await fs.rmdir('folder');
      });

      test('a new listing shows what changed since the last', async () => {
        const { fs } = await start();
        await fs.writeFile('one', '');
        expect(await fs.names('', { plus })).toEqual(['one']);
        await fs.writeFile('two', '');
        await fs.rename('one', 'three');
        expect(await fs.names('', { plus })).toEqual(['three', 'two']);
      });

      test('of a file is ENOTDIR', async () => {
        const { fs } = await start();
        await fs.writeFile('file', '');
        const ino = await fs.resolve('file');
        expect(await outcome(() => fs.readdirOnce(ino, { plus }))).toBe('ENOTDIR');
      });
    });
  }
}

/** Tests of references and `forget`. */
export function referenceTests(start: Start): void {
  describe('references', () => {
    test('an object is found again after all references to it were given back', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.writeFile('folder/file', 'content');
      fs.forgetAll();
      expect(await fs.readText('folder/file')).toBe('content');
      fs.forgetAll();
      expect(await fs.names('folder')).toEqual(['file']);
    });

    test('a child stays valid when its folder was forgotten', async () => {
      const { fs } = await start();
      const folder = await fs.mkdir('folder');
      await fs.writeFile('folder/file', 'content');
      const ino = await fs.resolve('folder/file');
      fs.forget(folder.ino);
      expect((await fs.getattr(ino)).size).toBe(7);
      await fs.filesystem.setattr(ino, { size: 3 }, fs.ctx);
      expect(await fs.readText('folder/file')).toBe('con');
    });

    test('an open file outlives the references to it, and its name', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'content');
      await fs.unlink('file');
      fs.forget(attributes.ino);
      expect((await fs.read(fh)).toString()).toBe('content');
      fs.close(fh);
    });

    test('an unlinked object keeps its number for itself until it is forgotten', async () => {
      const { fs } = await start();
      const { fh, attributes } = await fs.create('file');
      await fs.write(fh, 'content');
      fs.close(fh);
      await fs.unlink('file');
      for (let index = 0; index < 20; index++) {
        expect((await fs.create(`other-${index}`)).attributes.ino).not.toBe(attributes.ino);
      }
      expect(await fs.getattr(attributes.ino)).toMatchObject({ nlink: 0, size: 7 });
    });

    test('what readdirplus handed out counts, and can be given back', async () => {
      const { fs } = await start();
      await fs.mkdir('folder');
      await fs.writeFile('folder/file', '');
      fs.forgetAll();
      const [entry] = await fs.list('folder', { plus: true });
      if (entry?.attributes !== undefined) expect(fs.references(entry.ino)).toBe(1);
      fs.forgetAll();
      expect((await fs.stat('folder/file')).ino).toBeGreaterThan(1);
    });

    test('thousands of lookups are given back in one piece and in parts', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      fs.forgetAll();
      let ino = 0;
      for (let index = 0; index < 3000; index++) {
        ino = (await fs.filesystem.lookup(ROOT, 'file', fs.ctx)).attributes.ino;
      }
      fs.filesystem.forget(ino, 1);
      fs.filesystem.forget(ino, 1999);
      expect((await fs.getattr(ino)).ino).toBe(ino);
      fs.filesystem.forget(ino, 1000);
      expect(await fs.exists('file')).toBe(true);
    });
  });
}
