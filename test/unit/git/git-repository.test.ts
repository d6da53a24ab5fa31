// The tests' own helper: repositories hold what their description says.
import { access } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createGitRepository, FIRST_COMMIT_TIME, utf8Name } from '../../support/git-repository.ts';

const SUBMODULE = '0123456789abcdef0123456789abcdef01234567';

test('a repository holds files, modes, links, submodules and odd names', async () => {
  await using repository = await createGitRepository({
    files: {
      'plain.txt': 'hello',
      'bin/run': { content: '#!/bin/sh\n', mode: 0o100755 },
      link: { symlink: 'plain.txt' },
      module: { submodule: SUBMODULE },
      'a\xffb\n"\\%&+# .txt': Buffer.from([0, 255]),
      [utf8Name('grüße/世界')]: 'unicode',
    },
  });
  const listed = (await repository.gitBytes(['ls-tree', '-r', '-z', 'HEAD'])).toString('latin1').split('\0');
  expect(
    listed.filter((line) => line !== '').map((line) => `${line.slice(0, 6)} ${line.split('\t')[1]}`),
  ).toEqual([
    '100644 a\xffb\n"\\%&+# .txt',
    '100755 bin/run',
    `100644 ${utf8Name('grüße/世界')}`,
    '120000 link',
    '160000 module',
    '100644 plain.txt',
  ]);
  expect(await repository.git(['rev-parse', 'HEAD:module'])).toBe(SUBMODULE);
  expect(await repository.gitBytes(['cat-file', 'blob', 'HEAD:link'])).toEqual(Buffer.from('plain.txt'));
});

test('commits add to the branch, delete, merge, and have fixed ids', async () => {
  await using repository = await createGitRepository({ files: { a: '1', b: '2' } });
  const first = repository.head;
  const side = await repository.commit({ c: '3' }, { branch: 'side', from: first });
  const second = await repository.commit({ a: null }, { message: 'drop a' });
  const merge = await repository.commit({ c: '3' }, { merge: [side] });
  expect(await repository.git(['ls-tree', '--name-only', 'HEAD'])).toBe('b\nc');
  expect(await repository.git(['rev-list', '--parents', '-1', 'HEAD'])).toBe(`${merge} ${second} ${side}`);
  expect(await repository.git(['log', '-1', '--format=%ct', first])).toBe(String(FIRST_COMMIT_TIME));
  await using again = await createGitRepository({ files: { a: '1', b: '2' } });
  expect(again.head).toBe(first);
});

test('a repository without files has no commit, and one of no files the empty tree', async () => {
  await using empty = await createGitRepository({ bare: false });
  expect(empty.head).toBe('');
  await using root = await createGitRepository({ files: {} });
  expect(await root.git(['rev-parse', 'HEAD^{tree}'])).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
  await root.remove();
  await expect(access(root.path)).rejects.toThrow('ENOENT');
});
