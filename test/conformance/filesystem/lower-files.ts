// Conformance: changing files that lie in a read-only lower tree.
import { constants } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../../src/fuse/filesystem.ts';
import { expectBytes, mtimeOf, outcome, treeState } from '../../support/filesystem-assertions.ts';
import { foldersOf, LONGEST_NAME, lowerSeed, seedFile } from '../../support/seed-tree.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

const bigContent = (lowerSeed['big.bin'] as { content: Buffer }).content;

/** Tests of files of a lower tree. */
export function lowerFileTests(start: Start): void {
  describe('lower files', () => {
    test('are all there, with types, modes, sizes, contents and targets', async () => {
      const { fs } = await start(lowerSeed);
      const state = await treeState(fs);
      const paths = ['', ...foldersOf(lowerSeed), ...Object.keys(lowerSeed)];
      expect(Object.keys(state).sort()).toEqual(paths.sort());
      expect(state['README.md']).toMatchObject({
        mode: 'f644',
        size: 13,
        content: 'hello, lower\n',
        nlink: 1,
      });
      expect(state['run.sh']).toMatchObject({ mode: 'f755' });
      expect(state['empty']).toMatchObject({ size: 0 });
      expect(state['link']).toMatchObject({ mode: 'l777', content: 'README.md', size: 9 });
      expect(state['docs/deep']).toMatchObject({ mode: 'd755' });
      expect(state['vendor/module']).toMatchObject({ mode: 'd755' });
      expect(state[`odd/${LONGEST_NAME}`]).toMatchObject({ content: 'long\n' });
      expectBytes(await fs.readFile('big.bin'), bigContent);
      for (const object of Object.values(state)) expect(object.xattrs).toEqual({});
    });

    test('have times that stay the same, and the owner of the mount', async () => {
      const { fs } = await start(lowerSeed);
      const first = await fs.stat('docs/a.md');
      fs.forgetAll();
      const second = await fs.stat('docs/a.md');
      expect(mtimeOf(second)).toBe(mtimeOf(first));
      const root = await fs.stat('');
      expect([second.uid, second.gid]).toEqual([root.uid, root.gid]);
    });

    test('are changed in the middle, at the end and beyond, and keep the rest', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('README.md');
      const fh = await fs.open('README.md', constants.O_RDWR);
      await fs.write(fh, 'HE', 0);
      expect(await fs.readText('README.md')).toBe('HEllo, lower\n');
      await fs.append('README.md', 'end\n');
      await fs.write(fh, 'far', 20);
      expect(await fs.readText('README.md')).toBe('HEllo, lower\nend\n\0\0\0far');
      expect(await fs.stat('README.md')).toMatchObject({ ino, size: 23, nlink: 1, mode: 0o100644 });
    });

    test('are truncated, to nothing and to a part, by setattr and by open', async () => {
      const { fs } = await start(lowerSeed);
      await fs.setattr('README.md', { size: 5 });
      expect(await fs.readText('README.md')).toBe('hello');
      await fs.setattr('docs/a.md', { size: 0 });
      expect(await fs.readText('docs/a.md')).toBe('');
      await fs.writeFile('docs/b.md', 'new');
      expect(await fs.readText('docs/b.md')).toBe('new');
      await fs.setattr('big.bin', { size: 300_010 });
      const big = await fs.readFile('big.bin');
      expect(big.subarray(299_998)).toEqual(Buffer.concat([bigContent.subarray(299_998), Buffer.alloc(10)]));
    });

    test('keep their content and number when only attributes change', async () => {
      const { fs } = await start(lowerSeed);
      const before = await fs.stat('big.bin');
      await fs.setattr('big.bin', { mode: 0o600 });
      await fs.setattr('big.bin', otherOwner);
      await fs.setattr('big.bin', { mtime: { seconds: 5, nanoseconds: 6 } });
      await fs.setxattr('big.bin', 'user.one', '1');
      expect(await fs.stat('big.bin')).toMatchObject({
        ino: before.ino,
        mode: 0o100600,
        ...otherOwner,
        mtime: 5,
        mtimeNsec: 6,
        size: 300_000,
      });
      expectBytes(await fs.readFile('big.bin'), bigContent);
      expect(await fs.listxattr('big.bin')).toEqual(['user.one']);
      const fh = await fs.open('big.bin', constants.O_RDWR);
      await fs.write(fh, 'X', 100);
      expect(await fs.stat('big.bin')).toMatchObject({ mode: 0o100600, uid: otherOwner.uid, size: 300_000 });
    });

    test('keep mtime when only mode, owner, links or attributes change', async () => {
      const { fs } = await start(lowerSeed);
      const before = mtimeOf(await fs.stat('run.sh'));
      await fs.setattr('run.sh', { mode: 0o700 });
      await fs.setxattr('run.sh', 'user.one', '1');
      await fs.link('run.sh', 'second');
      await fs.open('run.sh', constants.O_RDWR);
      await fs.rename('run.sh', 'docs/run.sh');
      expect(mtimeOf(await fs.stat('docs/run.sh'))).toBe(before);
    });

    test('are seen with their new content through a handle that was open for reading before', async () => {
      const { fs } = await start(lowerSeed);
      const reader = await fs.open('README.md');
      expect((await fs.read(reader)).toString()).toBe('hello, lower\n');
      await fs.append('README.md', 'more\n');
      expect((await fs.read(reader)).toString()).toBe('hello, lower\nmore\n');
      expect((await fs.getattr(await fs.resolve('README.md'), reader)).size).toBe(18);
    });

    test('that are empty are seen with what is written through a handle from before', async () => {
      const { fs } = await start(lowerSeed);
      const reader = await fs.open('empty');
      const writer = await fs.open('empty', constants.O_RDWR);
      await fs.write(writer, 'no longer');
      expect((await fs.read(reader)).toString()).toBe('no longer');
    });

    test('show their own times and mode while their content is copied', async () => {
      const large = Buffer.alloc(32 * 2 ** 20, 'x');
      const { fs } = await start({ large: seedFile(large, { executable: true }) });
      const { ino, mode, mtime } = await fs.stat('large');
      let isOpen = false;
      const opening = fs.open('large', constants.O_RDWR).finally(() => {
        isOpen = true;
      });
      while (!isOpen) {
        expect(await fs.getattr(ino)).toMatchObject({ mode, mtime, size: large.length });
        await immediate();
      }
      await opening;
      expect(await fs.getattr(ino)).toMatchObject({ mode, mtime, size: large.length });
    });

    test('are seen with their content through a handle although they were removed', async () => {
      const { fs } = await start(lowerSeed);
      const reader = await fs.open('README.md');
      const ino = await fs.resolve('README.md');
      await fs.unlink('README.md');
      expect((await fs.read(reader)).toString()).toBe('hello, lower\n');
      expect(await fs.getattr(ino, reader)).toMatchObject({ nlink: 0, size: 13 });
    });

    test('are read and written through numbers although they were removed', async () => {
      const { fs } = await start(lowerSeed);
      const ino = await fs.resolve('README.md');
      const fh = await fs.open('README.md', constants.O_RDWR);
      await fs.unlink('README.md');
      await fs.write(fh, 'HELLO');
      expect((await fs.read(fh)).toString()).toBe('HELLO, lower\n');
      await fs.filesystem.setattr(ino, { mode: 0o600, size: 5 }, fs.ctx);
      expect(await fs.getattr(ino)).toMatchObject({ nlink: 0, size: 5, mode: 0o100600 });
      expect(await fs.exists('README.md')).toBe(false);
    });

    test('that were removed are gone from lookup and listing, and their name is free', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('docs/a.md');
      await fs.unlink('docs/a.md');
      expect(await outcome(() => fs.stat('docs/a.md'))).toBe('ENOENT');
      expect(await outcome(() => fs.unlink('docs/a.md'))).toBe('ENOENT');
      expect(await fs.names('docs')).toEqual(['b.md', 'deep', 'link']);
      await fs.writeFile('docs/a.md', 'again');
      expect(await fs.readText('docs/a.md')).toBe('again');
      expect((await fs.stat('docs/a.md')).ino).not.toBe(ino);
      expect(await fs.names('docs')).toEqual(['a.md', 'b.md', 'deep', 'link']);
    });

    test('are replaced by objects of every other kind', async () => {
      const { fs } = await start(lowerSeed);
      await fs.unlink('README.md');
      await fs.mkdir('README.md');
      await fs.writeFile('README.md/inside', 'in');
      await fs.unlink('empty');
      await fs.symlink('elsewhere', 'empty');
      await fs.unlink('link');
      await fs.mknod('link', constants.S_IFIFO | 0o644);
      expect(await fs.readText('README.md/inside')).toBe('in');
      expect(await fs.readlink('empty')).toBe('elsewhere');
      expect((await fs.stat('link')).mode & constants.S_IFMT).toBe(constants.S_IFIFO);
    });

    test('share what is written through any of their hard links', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('README.md');
      await fs.link('README.md', 'docs/linked');
      expect(await fs.stat('docs/linked')).toMatchObject({ ino, nlink: 2 });
      await fs.append('README.md', 'one\n');
      await fs.append('docs/linked', 'two\n');
      expect(await fs.readText('README.md')).toBe('hello, lower\none\ntwo\n');
      await fs.unlink('README.md');
      expect(await fs.readText('docs/linked')).toBe('hello, lower\none\ntwo\n');
      expect((await fs.stat('docs/linked')).nlink).toBe(1);
    });

    test('move within their folder and to others, and keep content and number', async () => {
      const { fs } = await start(lowerSeed);
      const { ino } = await fs.stat('README.md');
      await fs.rename('README.md', 'README.txt');
      expect(await fs.exists('README.md')).toBe(false);
      await fs.rename('README.txt', 'docs/deep/er/readme');
      expect(await fs.readText('docs/deep/er/readme')).toBe('hello, lower\n');
      expect((await fs.stat('docs/deep/er/readme')).ino).toBe(ino);
      expect(await fs.names('docs/deep/er')).toEqual(['est', 'readme']);
      await fs.rename('docs/deep/er/readme', 'README.md');
      expect(await fs.readText('README.md')).toBe('hello, lower\n');
      expect(await fs.names('docs/deep/er')).toEqual(['est']);
    });

    test('replace other lower files, and new files replace them', async () => {
      const { fs } = await start(lowerSeed);
      await fs.rename('docs/a.md', 'docs/b.md');
      expect(await fs.readText('docs/b.md')).toBe('a\n');
      expect(await fs.names('docs')).toEqual(['b.md', 'deep', 'link']);
      await fs.writeFile('new', 'new');
      await fs.rename('new', 'README.md');
      expect(await fs.readText('README.md')).toBe('new');
      await fs.rename('run.sh', 'README.md');
      expect(await fs.stat('README.md')).toMatchObject({ mode: 0o100755, nlink: 1 });
    });

    test('stand in the way of RENAME_NOREPLACE until they are removed', async () => {
      const { fs } = await start(lowerSeed);
      await fs.writeFile('new', 'new');
      expect(await outcome(() => fs.rename('new', 'README.md', RENAME_NOREPLACE))).toBe('EEXIST');
      await fs.unlink('README.md');
      await fs.rename('new', 'README.md', RENAME_NOREPLACE);
      expect(await fs.readText('README.md')).toBe('new');
    });

    test('are exchanged with new files, with other lower files and with folders', async () => {
      const { fs } = await start(lowerSeed);
      await fs.writeFile('new', 'new');
      await fs.rename('new', 'README.md', RENAME_EXCHANGE);
      expect(await fs.readText('README.md')).toBe('new');
      expect(await fs.readText('new')).toBe('hello, lower\n');
      await fs.rename('docs/a.md', 'docs/deep/note.txt', RENAME_EXCHANGE);
      expect(await fs.readText('docs/a.md')).toBe('note\n');
      expect(await fs.readText('docs/deep/note.txt')).toBe('a\n');
      await fs.rename('docs/b.md', 'src', RENAME_EXCHANGE);
      expect(await fs.readText('src')).toBe('bb\n');
      expect(await fs.readText('docs/b.md/util/one.ts')).toBe('1;\n');
    });

    test('that are symlinks can be renamed, linked, chowned, stamped and removed', async () => {
      const { fs } = await start(lowerSeed);
      await fs.setattr('link', { uid: otherOwner.uid, mtime: { seconds: 6, nanoseconds: 7 } });
      await fs.rename('link', 'docs/moved');
      await fs.link('docs/moved', 'second');
      expect(await fs.readlink('second')).toBe('README.md');
      expect(await fs.stat('docs/moved')).toMatchObject({
        uid: otherOwner.uid,
        mtime: 6,
        mtimeNsec: 7,
        nlink: 2,
        size: 9,
      });
      await fs.unlink('dangling');
      expect(await fs.exists('dangling')).toBe(false);
    });

    test('take fallocate, copies and fsync', async () => {
      const { fs } = await start(lowerSeed);
      const from = await fs.open('README.md');
      const to = await fs.open('docs/a.md', constants.O_RDWR);
      expect(await fs.copyFileRange([from, 0], [to, 2], 5)).toBe(5);
      expect(await fs.readText('docs/a.md')).toBe('a\nhello');
      await fs.fallocate(to, 0, 0, 10);
      expect(await fs.readText('docs/a.md')).toBe('a\nhello\0\0\0');
      await fs.fsync(to, false);
      await fs.fsync(from, true);
    });

    test('seek to data and to the hole at the end', async () => {
      const { fs } = await start(lowerSeed);
      const fh = await fs.open('README.md');
      expect(await fs.lseek(fh, 0, 3)).toBe(0);
      expect(await fs.lseek(fh, 0, 4)).toBe(13);
    });

    test('lose extended attributes that were set on them', async () => {
      const { fs } = await start(lowerSeed);
      expect(await outcome(() => fs.removexattr('README.md', 'user.none'))).toBe('ENODATA');
      await fs.setxattr('README.md', 'user.one', '1');
      await fs.removexattr('README.md', 'user.one');
      expect(await fs.listxattr('README.md')).toEqual([]);
    });

    test('with odd names are changed, renamed and removed', async () => {
      const { fs } = await start(lowerSeed);
      for (const name of await fs.names('odd')) {
        await fs.append(`odd/${name}`, 'more\n');
        expect(await fs.readText(`odd/${name}`)).toMatch(/more\n$/);
        await fs.rename(`odd/${name}`, `docs/${name}`);
        await fs.unlink(`docs/${name}`);
      }
      expect(await fs.names('odd')).toEqual([]);
      await fs.rmdir('odd');
    });
  });
}
