// Conformance: what was changed is the same after the filesystem was closed and opened again.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RENAME_EXCHANGE } from '../../../src/fuse/filesystem.ts';
import { treeState } from '../../support/filesystem-assertions.ts';
import type { FilesystemClient } from '../../support/filesystem-client.ts';
import { lowerSeed } from '../../support/seed-tree.ts';
import type { Start } from './subject.ts';

const scenarios: Record<string, (fs: FilesystemClient) => Promise<unknown>> = {
  'nothing at all': async () => {},
  'new objects of every kind': async (fs) => {
    await fs.mkdir('new', 0o750);
    await fs.writeFile('new/file', 'content', 0o600);
    await fs.symlink('file', 'new/symlink');
    await fs.mknod('new/fifo', constants.S_IFIFO | 0o644);
    await fs.mknod('new/socket', constants.S_IFSOCK | 0o644);
    await fs.link('new/file', 'docs/linked');
    await fs.setxattr('new/file', 'user.one', '1');
    await fs.setattr('new', { mtime: { seconds: 5, nanoseconds: 6 } });
  },
  'changed lower files': async (fs) => {
    await fs.append('README.md', 'more');
    await fs.setattr('big.bin', { size: 1000 });
    await fs.writeFile('docs/a.md', 'replaced');
    const fh = await fs.open('many/file-3', constants.O_RDWR);
    await fs.write(fh, 'X', 100);
  },
  'changed attributes of lower objects': async (fs) => {
    await fs.setattr('big.bin', { mode: 0o600 });
    await fs.setattr('run.sh', { mtime: { seconds: 7, nanoseconds: 8 } });
    await fs.setattr('docs', { mode: 0o700 });
    await fs.setxattr('docs/deep', 'user.one', '1');
    await fs.setattr('link', { mtime: { seconds: 9, nanoseconds: 1 } });
  },
  'metadata first, content later': async (fs) => {
    await fs.setattr('big.bin', { mode: 0o600, mtime: { seconds: 7, nanoseconds: 8 } });
    await fs.append('big.bin', 'tail');
  },
  'removed files and folders': async (fs) => {
    await fs.unlink('README.md');
    await fs.unlink('link');
    await fs.remove('docs/deep');
    await fs.remove('src');
    await fs.rmdir('vendor/module');
  },
  'folders removed and made again': async (fs) => {
    await fs.remove('docs');
    await fs.mkdir('docs');
    await fs.mkdir('docs/deep');
    await fs.writeFile('docs/deep/new', 'new');
    await fs.remove('many');
    await fs.mkdir('many');
  },
  'kinds exchanged': async (fs) => {
    await fs.remove('docs');
    await fs.writeFile('docs', 'now a file');
    await fs.unlink('README.md');
    await fs.mkdir('README.md');
    await fs.writeFile('README.md/inside', 'in');
    await fs.remove('src');
    await fs.symlink('many', 'src');
  },
  'lower files renamed': async (fs) => {
    await fs.rename('README.md', 'docs/deep/readme');
    await fs.rename('run.sh', 'empty');
    await fs.rename('docs/a.md', 'docs/b.md');
    await fs.rename('big.bin', 'src/util/big');
    await fs.rename('link', 'odd/link');
  },
  'lower folders renamed': async (fs) => {
    await fs.rename('docs', 'documents');
    await fs.rename('documents/deep', 'src/deep');
    await fs.rename('src', 'documents/source');
  },
  'a lower folder renamed, its name used again': async (fs) => {
    await fs.rename('docs', 'moved');
    await fs.mkdir('docs');
    await fs.writeFile('docs/a.md', 'new');
    await fs.append('moved/a.md', 'changed');
    await fs.unlink('moved/b.md');
  },
  'a lower folder renamed there and back': async (fs) => {
    await fs.rename('docs', 'src/away');
    await fs.writeFile('src/away/new', 'new');
    await fs.rename('src/away', 'docs');
  },
  'folders exchanged': async (fs) => {
    await fs.rename('docs', 'src', RENAME_EXCHANGE);
    await fs.mkdir('new');
    await fs.rename('new', 'many', RENAME_EXCHANGE);
    await fs.rename('README.md', 'src/deep', RENAME_EXCHANGE);
  },
  'a folder moved over an emptied one': async (fs) => {
    await fs.unlink('src/main.ts');
    await fs.remove('src/util');
    await fs.rename('docs', 'src');
  },
  'hard links to lower files': async (fs) => {
    await fs.link('README.md', 'docs/one');
    await fs.link('docs/one', 'src/two');
    await fs.append('README.md', 'more');
    await fs.unlink('docs/one');
  },
  'odd names': async (fs) => {
    for (const name of await fs.names('odd')) {
      await fs.append(`odd/${name}`, 'more');
      await fs.link(`odd/${name}`, `docs/${name}`);
    }
    await fs.rename('odd', 'caf\xe9');
    await fs.mkdir('.wh.README.md');
    await fs.writeFile('.wh.docs', '');
  },
  'an unlinked file that was open': async (fs) => {
    const fh = await fs.open('README.md', constants.O_RDWR);
    await fs.unlink('README.md');
    await fs.write(fh, 'lost');
  },
};

/** Tests of closing and opening again; `keepsNumbers`: lower objects keep their inode numbers. */
export function persistenceTests(start: Start, keepsNumbers: boolean): void {
  describe('after it was closed and opened again', () => {
    for (const [title, scenario] of Object.entries(scenarios)) {
      test(`the tree is the same: ${title}`, async () => {
        const { fs, reopen } = await start(lowerSeed);
        await scenario(fs);
        const before = await treeState(fs);
        const again = await reopen();
        expect(await treeState(again)).toEqual(before);
        // Once more, over what the reading of it may have left.
        await again.writeFile('last', 'one');
        await again.unlink('last');
        const rootless = ({ '': _root, ...rest }: Awaited<ReturnType<typeof treeState>>) => rest;
        expect(rootless(await treeState(await reopen()))).toEqual(rootless(before));
      });
    }

    test('changes go on where they stopped', async () => {
      const session = await start(lowerSeed);
      let { fs } = session;
      await fs.rename('docs', 'moved');
      fs = await session.reopen();
      await fs.rename('moved/deep', 'deep');
      await fs.append('moved/a.md', '1');
      fs = await session.reopen();
      await fs.rename('moved', 'docs');
      await fs.append('docs/a.md', '2');
      await fs.rename('deep', 'docs/deep');
      fs = await session.reopen();
      expect(await fs.readText('docs/a.md')).toBe('a\n12');
      expect(await fs.readText('docs/deep/er/est/leaf.txt')).toBe('leaf\n');
      await fs.remove('docs');
      fs = await session.reopen();
      expect(await fs.exists('docs')).toBe(false);
    });

    test('a file with two names has one number, though it is open and the first name is gone', async () => {
      const session = await start(lowerSeed);
      await session.fs.writeFile('one', 'content');
      await session.fs.link('one', 'two');
      const fs = await session.reopen();
      const fh = await fs.open('one', constants.O_RDWR);
      const { ino } = await fs.stat('one');
      await fs.unlink('one');
      expect(await fs.stat('two')).toMatchObject({ ino, nlink: 1 });
      await fs.write(fh, 'CON');
      expect(await fs.readText('two')).toBe('CONtent');
      await fs.unlink('two');
      expect(await fs.getattr(ino)).toMatchObject({ nlink: 0 });
    });

    test.runIf(keepsNumbers)(
      'lower objects have the inode numbers that they had, changed or not',
      async () => {
        const { fs, reopen } = await start(lowerSeed);
        const paths = ['', 'README.md', 'docs', 'docs/deep/er/est/leaf.txt', 'src/util/one.ts', 'link'];
        await fs.append('README.md', 'changed');
        const numbers: number[] = [];
        for (const path of paths) numbers.push((await fs.stat(path)).ino);
        const again = await reopen();
        const numbersAgain: number[] = [];
        for (const path of paths.toReversed()) numbersAgain.unshift((await again.stat(path)).ino);
        expect(numbersAgain).toEqual(numbers);
      },
    );
  });
}
