// Conformance: calls that start while earlier ones still wait.
import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectBytes, outcome } from '../../support/filesystem-assertions.ts';
import { ROOT } from '../../support/filesystem-client.ts';
import { lowerSeed } from '../../support/seed-tree.ts';
import { otherOwner } from '../../support/other-owner.ts';
import type { Start } from './subject.ts';

const EXCLUSIVE = constants.O_RDWR | constants.O_EXCL;

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** Tests of overlapping calls, over a lower tree that may have to be fetched. */
export function overlappingTests(start: Start): void {
  describe('overlapping calls', () => {
    test('lookups of one name give one inode number', async () => {
      const { fs } = await start(lowerSeed);
      const found = await Promise.all(times(20, () => fs.stat('docs/deep/er/est/leaf.txt')));
      expect(new Set(found.map(({ ino }) => ino)).size).toBe(1);
    });

    test('of several exclusive creations of one name one succeeds', async () => {
      const { fs } = await start(lowerSeed);
      const outcomes = await Promise.all(
        times(8, () => outcome(() => fs.create('docs/new', { flags: EXCLUSIVE }))),
      );
      expect(outcomes.filter((result) => result === 'success').length).toBe(1);
      expect(outcomes.filter((result) => result === 'EEXIST').length).toBe(7);
    });

    test('of several mkdir of one name one succeeds', async () => {
      const { fs } = await start(lowerSeed);
      const outcomes = await Promise.all(times(8, () => outcome(() => fs.mkdir('src/new'))));
      expect(outcomes.filter((result) => result === 'success').length).toBe(1);
      expect(await fs.names('src')).toEqual(['main.ts', 'new', 'util']);
    });

    test('of several unlink of one name one succeeds', async () => {
      const { fs } = await start(lowerSeed);
      const outcomes = await Promise.all(times(8, () => outcome(() => fs.unlink('docs/a.md'))));
      expect(outcomes.sort()).toEqual([...times(7, () => 'ENOENT'), 'success'].sort());
      expect(await fs.exists('docs/a.md')).toBe(false);
    });

    test('first writes to one lower file all arrive', async () => {
      const { fs } = await start(lowerSeed);
      const original = await fs.readFile('big.bin');
      const handles = await Promise.all(times(8, () => fs.open('big.bin', constants.O_RDWR)));
      await Promise.all(handles.map((fh, index) => fs.write(fh, `<${index}>`, index * 1000)));
      const content = await fs.readFile('big.bin');
      const expected = Buffer.from(original);
      for (const index of handles.keys()) expected.write(`<${index}>`, index * 1000);
      expectBytes(content, expected);
    });

    test('changes of different kinds to one lower file all take effect', async () => {
      const { fs } = await start(lowerSeed);
      await Promise.all([
        fs.setattr('run.sh', { mode: 0o700 }),
        fs.setxattr('run.sh', 'user.one', '1'),
        fs.append('run.sh', 'more\n'),
        fs.link('run.sh', 'docs/run-too.sh'),
        fs.setattr('run.sh', { uid: otherOwner.uid }),
      ]);
      expect(await fs.readText('docs/run-too.sh')).toBe('#!/bin/sh\necho run\nmore\n');
      expect(await fs.stat('run.sh')).toMatchObject({ mode: 0o100700, nlink: 2, uid: otherOwner.uid });
      expect(await fs.listxattr('docs/run-too.sh')).toEqual(['user.one']);
    });

    test('new files in one deep lower folder all appear', async () => {
      const { fs } = await start(lowerSeed);
      await Promise.all(times(30, (index) => fs.writeFile(`docs/deep/er/new-${index}`, `${index}`)));
      const names = await fs.names('docs/deep/er');
      expect(names.length).toBe(31);
      for (const index of times(30, (at) => at)) {
        expect(await fs.readText(`docs/deep/er/new-${index}`)).toBe(`${index}`);
      }
    });

    test('listings and lookups of one large lower folder agree', async () => {
      const { fs } = await start(lowerSeed);
      const [names, plus] = await Promise.all([
        fs.names('many', { limit: 10 }),
        fs.list('many', { limit: 7, plus: true }),
        ...times(40, (index) => fs.stat(`many/file-${index}`)),
      ]);
      expect(names).toEqual(plus.map(({ name }) => name).sort());
      expect(names.length).toBe(120);
    });

    test('a rename and a write of one lower file leave one file with the new content', async () => {
      const { fs } = await start(lowerSeed);
      const fh = await fs.open('README.md', constants.O_RDWR);
      await Promise.all([fs.rename('README.md', 'docs/readme'), fs.write(fh, 'HELLO')]);
      expect(await fs.readText('docs/readme')).toBe('HELLO, lower\n');
      expect(await fs.exists('README.md')).toBe(false);
    });

    test('renames of one name to many leave one', async () => {
      const { fs } = await start(lowerSeed);
      const outcomes = await Promise.all(
        times(6, (index) => outcome(() => fs.rename('src/main.ts', `src/to-${index}`))),
      );
      expect(outcomes.filter((result) => result === 'success').length).toBe(1);
      expect((await fs.names('src')).length).toBe(2);
    });

    test('renames of one folder into another and back into the first do not make a circle', async () => {
      const { fs } = await start(lowerSeed);
      const outcomes = await Promise.all([
        outcome(() => fs.rename('docs', 'src/docs')),
        outcome(() => fs.rename('src', 'docs/src')),
      ]);
      expect(outcomes.filter((result) => result === 'success').length).toBe(1);
      const names = await fs.names('');
      expect(names.includes('docs') !== names.includes('src')).toBe(true);
    });

    test('rmdir and create in the same folder do not both succeed', async () => {
      const { fs } = await start(lowerSeed);
      const folder = await fs.mkdir('docs/target');
      const create = async (): Promise<void> => {
        const { entry, file } = await fs.filesystem.create(
          folder.ino,
          'new',
          0o644,
          constants.O_RDWR,
          fs.ctx,
        );
        fs.count(entry);
        fs.filesystem.release(file.fh);
      };
      const outcomes = await Promise.all([outcome(create), outcome(() => fs.rmdir('docs/target'))]);
      expect(outcomes.filter((result) => result === 'success').length).toBe(1);
      expect(await fs.exists('docs/target')).toBe(outcomes[0] === 'success');
    });

    test('appends to one file do not overwrite each other', async () => {
      const { fs } = await start(lowerSeed);
      await Promise.all(times(20, (index) => fs.append('docs/a.md', `line ${index}\n`)));
      const lines = (await fs.readText('docs/a.md')).trim().split('\n');
      expect(lines[0]).toBe('a');
      expect(new Set(lines).size).toBe(21);
    });

    test('an interrupted call fails with EINTR or completes, and the next one works', async () => {
      const { fs } = await start(lowerSeed);
      const interrupted = fs.as({ signal: AbortSignal.abort() });
      expect(['success', 'EINTR']).toContain(await outcome(() => interrupted.readFile('big.bin')));
      expect(['success', 'EINTR']).toContain(await outcome(() => interrupted.append('docs/b.md', '')));
      expect((await fs.readFile('big.bin')).length).toBe(300_000);
      expect(await fs.readText('docs/b.md')).toBe('bb\n');
      expect((await fs.getattr(ROOT)).ino).toBe(ROOT);
    });
  });
}
