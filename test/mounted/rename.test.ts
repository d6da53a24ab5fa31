// rename(2) and renameat2(2) on a real mount.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { codeOf, useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();
const NOREPLACE = '1';
const EXCHANGE = '2';

/** renameat2 with flags; what it prints is the errno, nothing on success. */
function renameat2(from: string, to: string, flags: string): Promise<string> {
  const code = `call('renameat2', -100, sys.argv[1].encode(), -100, sys.argv[2].encode(), int(sys.argv[3]))`;
  return python(code, from, to, flags);
}

test('a lower file moves and keeps content and inode number', async () => {
  const root = await mounts.fresh();
  const { ino } = statSync(`${root}/README.md`);
  renameSync(`${root}/README.md`, `${root}/docs/deep/readme`);
  expect(existsSync(`${root}/README.md`)).toBe(false);
  expect(readFileSync(`${root}/docs/deep/readme`, 'utf8')).toBe('hello, lower\n');
  expect(statSync(`${root}/docs/deep/readme`).ino).toBe(ino);
});

test('a lower folder moves with all below it, also across a new mount', async () => {
  const root = await mounts.fresh();
  renameSync(`${root}/docs`, `${root}/src/documents`);
  mkdirSync(`${root}/docs`);
  const check = (): void => {
    expect(readFileSync(`${root}/src/documents/deep/er/est/leaf.txt`, 'utf8')).toBe('leaf\n');
    expect(readdirSync(`${root}/src/documents`).sort()).toEqual(['a.md', 'b.md', 'deep', 'link']);
    expect(readdirSync(`${root}/docs`)).toEqual([]);
  };
  check();
  await mounts.current[0]?.remount();
  check();
});

test('an open file and a process in a folder follow renames', async () => {
  const root = await mounts.fresh();
  const code = `
os.chdir(sys.argv[1] + '/docs/deep')
file = os.open('note.txt', os.O_RDWR)
os.rename(sys.argv[1] + '/docs', sys.argv[1] + '/moved')
os.write(file, b'NOTE')
print(open('note.txt').read().strip(), os.getcwd().replace(sys.argv[1], ''))`;
  expect(await python(code, root)).toBe('NOTE /moved/deep');
  expect(readFileSync(`${root}/moved/deep/note.txt`, 'utf8')).toBe('NOTE\n');
});

test('what may not replace what is told by the errno', async () => {
  const root = await mounts.fresh();
  mkdirSync(`${root}/empty-folder`);
  const attempts: [from: string, to: string, code: string][] = [
    ['README.md', 'docs', 'EISDIR'],
    ['docs', 'README.md', 'ENOTDIR'],
    ['docs', 'src', 'ENOTEMPTY'],
    ['docs', 'docs/deep/new', 'EINVAL'],
    ['docs/deep', 'docs', 'ENOTEMPTY'],
    ['missing', 'new', 'ENOENT'],
    ['README.md', 'missing/new', 'ENOENT'],
    ['README.md', 'run.sh/new', 'ENOTDIR'],
  ];
  for (const [from, to, code] of attempts) {
    expect([from, to, await codeOf(() => renameSync(`${root}/${from}`, `${root}/${to}`))]).toEqual([
      from,
      to,
      code,
    ]);
  }
  renameSync(`${root}/src`, `${root}/empty-folder`);
  expect(readFileSync(`${root}/empty-folder/util/one.ts`, 'utf8')).toBe('1;\n');
});

test('over another name of the same file nothing happens', async () => {
  const root = await mounts.fresh();
  linkSync(`${root}/README.md`, `${root}/second`);
  renameSync(`${root}/README.md`, `${root}/second`);
  expect(statSync(`${root}/README.md`).nlink).toBe(2);
});

test.skipIf(lacks('rename-flags'))('RENAME_NOREPLACE is EEXIST when something is there', async () => {
  const root = await mounts.fresh();
  expect(await renameat2(`${root}/README.md`, `${root}/run.sh`, NOREPLACE)).toBe('EEXIST');
  expect(await renameat2(`${root}/README.md`, `${root}/new`, NOREPLACE)).toBe('');
  expect(readFileSync(`${root}/new`, 'utf8')).toBe('hello, lower\n');
});

test.skipIf(lacks('rename-flags'))('RENAME_EXCHANGE swaps files and folders, lower and new', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, 'new');
  expect(await renameat2(`${root}/new`, `${root}/README.md`, EXCHANGE)).toBe('');
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('new');
  expect(readFileSync(`${root}/new`, 'utf8')).toBe('hello, lower\n');
  expect(await renameat2(`${root}/docs`, `${root}/src`, EXCHANGE)).toBe('');
  expect(readFileSync(`${root}/src/a.md`, 'utf8')).toBe('a\n');
  expect(await renameat2(`${root}/new`, `${root}/missing`, EXCHANGE)).toBe('ENOENT');
  await mounts.current[0]?.remount();
  expect(readFileSync(`${root}/docs/util/two.ts`, 'utf8')).toBe('2;\n');
});

test('between the mount and another filesystem it is EXDEV', async () => {
  const root = await mounts.fresh();
  const outside = `${mounts.fixture.folder}/outside`;
  expect(await codeOf(() => renameSync(`${root}/README.md`, outside))).toBe('EXDEV');
});
