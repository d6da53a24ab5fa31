// Conformance: finding objects by name, and what their names may be.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectFailure, outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { LONGEST_NAME } from '../../support/seed-tree.ts';
import type { Start } from './subject.ts';

/** Tests of `lookup` and of names. */
export function lookupTests(start: Start): void {
  describe('lookup', () => {
    test('a name that does not exist is ENOENT', async () => {
      const { fs } = await start();
      expect(await outcome(() => fs.lookup(ROOT, 'missing'))).toBe('ENOENT');
    });

    test('a name in a folder that does not exist is ENOENT, also after it was made and removed', async () => {
      const { fs } = await start();
      const { ino } = await fs.mkdir('folder');
      await fs.rmdir('folder');
      expect(await outcome(() => fs.lookup(ino, 'missing'))).toBe('ENOENT');
      expect(await outcome(() => fs.lookup(ROOT, 'folder'))).toBe('ENOENT');
    });

    test('a name below a file is ENOTDIR', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'content');
      expect(await outcome(() => fs.stat('file/below'))).toBe('ENOTDIR');
    });

    test('each lookup of a name gives the same inode number and attributes', async () => {
      const { fs } = await start();
      await fs.writeFile('file', 'content');
      const first = { ...(await fs.lookup(ROOT, 'file')) };
      expect({ ...(await fs.lookup(ROOT, 'file')) }).toEqual(first);
      expect(first.mode & constants.S_IFMT).toBe(constants.S_IFREG);
    });

    test('different objects have different inode numbers', async () => {
      const { fs } = await start();
      const numbers = new Set([ROOT]);
      for (let index = 0; index < 50; index++) {
        numbers.add((await fs.mkdir(`folder-${index}`)).ino);
        numbers.add((await fs.create(`file-${index}`)).attributes.ino);
      }
      expect(numbers.size).toBe(101);
    });

    test('the root is a folder with the number 1', async () => {
      const { fs } = await start();
      const root = await fs.stat('');
      expect(root.ino).toBe(ROOT);
      expect(root.mode & constants.S_IFMT).toBe(constants.S_IFDIR);
    });

    test('times to live are not negative', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const entry = await fs.filesystem.lookup(ROOT, 'file', fs.ctx);
      fs.count(entry);
      const { negativeTtl, attributesTtl } = fs.filesystem;
      expect(
        Math.min(entry.entryTtl, entry.attributesTtl, negativeTtl, attributesTtl),
      ).toBeGreaterThanOrEqual(0);
    });
  });

  describe('names', () => {
    const odd = {
      'that are not UTF-8': 'caf\xe9\xff\xfe',
      'with newlines, quotes and backslashes': 'a\n"\\\'b',
      'with signs that mean something in URLs': 'per%cent%20 & more+#?=',
      'that begin with a dash or blank': ' -rf ',
      'of 255 bytes': LONGEST_NAME,
      'that look like whiteouts of other formats': '.wh.README.md',
      'that are properties of objects': '__proto__',
      'of one control byte': '\x01',
    };
    for (const [title, name] of Object.entries(odd)) {
      test(`${title} are kept byte for byte`, async () => {
        const { fs } = await start();
        await fs.writeFile(name, 'file');
        await fs.mkdir('folder');
        await fs.mkdir(`folder/${name}`);
        await fs.writeFile(`folder/${name}/${name}`, 'below');
        expect(await fs.names('')).toEqual([name, 'folder'].sort());
        expect(await fs.names(`folder/${name}`)).toEqual([name]);
        expect(await fs.readText(name)).toBe('file');
        expect(await fs.readText(`folder/${name}/${name}`)).toBe('below');
        await fs.rename(name, 'plain');
        await fs.rename('plain', `folder/${name}/again`);
        await fs.remove('folder');
        expect(await fs.names('')).toEqual([]);
      });
    }

    const tooLong = `${LONGEST_NAME}x`;
    test('of 256 bytes are ENAMETOOLONG for every operation that takes one', async () => {
      const { fs } = await start();
      await fs.writeFile('file', '');
      const operations: Record<string, () => unknown> = {
        lookup: () => fs.lookup(ROOT, tooLong),
        create: () => fs.create(tooLong),
        mkdir: () => fs.mkdir(tooLong),
        mknod: () => fs.mknod(tooLong, constants.S_IFIFO | 0o644),
        symlink: () => fs.symlink('target', tooLong),
        link: () => fs.link('file', tooLong),
        unlink: () => fs.unlink(tooLong),
        rmdir: () => fs.rmdir(tooLong),
        'rename from': () => fs.rename(tooLong, 'other'),
        'rename to': () => fs.rename('file', tooLong),
      };
      for (const [operation, run] of Object.entries(operations)) {
        expect({ operation, outcome: await outcome(run) }).toEqual({ operation, outcome: 'ENAMETOOLONG' });
      }
      await expectFailure(fs, 'ENAMETOOLONG', () => fs.mkdir(tooLong));
    });

    test('may lie 60 folders of long names deep, beyond PATH_MAX', async () => {
      const { fs } = await start();
      const folder = 'd'.repeat(200);
      let path = '';
      for (let depth = 0; depth < 60; depth++) {
        path = path === '' ? folder : `${path}/${folder}`;
        await fs.mkdir(path);
      }
      await fs.writeFile(`${path}/file`, 'deep');
      await fs.rename(`${path}/file`, `${path}/renamed`);
      expect(await fs.readText(`${path}/renamed`)).toBe('deep');
      expect(await fs.names(path)).toEqual(['renamed']);
      await fs.remove(folder);
      expect(await fs.names('')).toEqual([]);
    });
  });
}
