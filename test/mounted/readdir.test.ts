// readdir(3) on a real mount.
import { mkdirSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';
import { foldersOf, lowerSeed } from '../support/seed-tree.ts';

const mounts = useMounts();

test('the whole lower tree is there', async () => {
  const root = await mounts.fresh();
  // Names that are not UTF-8 do not survive Node's recursion; names.test.ts has them.
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !path.startsWith('odd/'),
  );
  const expected = [...foldersOf(lowerSeed), ...Object.keys(lowerSeed)].filter(
    (path) => !path.startsWith('odd/'),
  );
  expect(paths.sort()).toEqual(expected.sort());
});

test('types and inode numbers agree with stat', async () => {
  const root = await mounts.fresh();
  const code = `
for entry in os.scandir(sys.argv[1]):
    found = entry.stat(follow_symlinks=False)
    kinds = (entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False), entry.is_symlink())
    assert entry.inode() == found.st_ino, entry.name
    assert kinds == (stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), stat.S_ISLNK(found.st_mode)), entry.name
print('same')`;
  expect(await python(code, root)).toBe('same');
});

test('changes show at once', async () => {
  const root = await mounts.fresh();
  expect(readdirSync(`${root}/docs`).length).toBe(4);
  writeFileSync(`${root}/docs/new`, '');
  unlinkSync(`${root}/docs/a.md`);
  renameSync(`${root}/docs/b.md`, `${root}/src/b.md`);
  expect(readdirSync(`${root}/docs`).sort()).toEqual(['deep', 'link', 'new']);
  expect(readdirSync(`${root}/src`).sort()).toEqual(['b.md', 'main.ts', 'util']);
});

test('10,000 new files are listed once each, and can be removed while they are listed', async () => {
  const root = await mounts.fresh();
  mkdirSync(`${root}/large`);
  for (let index = 0; index < 10_000; index++) writeFileSync(`${root}/large/file-${index}`, '');
  expect(new Set(readdirSync(`${root}/large`)).size).toBe(10_000);
  const code = `
count = 0
for entry in os.scandir(sys.argv[1]):
    os.unlink(entry.path)
    count += 1
print(count, len(os.listdir(sys.argv[1])))`;
  expect(await python(code, `${root}/large`)).toBe('10000 0');
});

test('a file is ENOTDIR, a missing folder ENOENT', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => readdirSync(`${root}/README.md`))).toBe('ENOTDIR');
  expect(await codeOf(() => readdirSync(`${root}/missing`))).toBe('ENOENT');
});

test('`.` and `..` have the right numbers', async () => {
  const root = await mounts.fresh();
  expect(statSync(`${root}/docs/deep/..`).ino).toBe(statSync(`${root}/docs`).ino);
  expect(statSync(`${root}/docs/.`).ino).toBe(statSync(`${root}/docs`).ino);
});

test('an empty folder, such as a submodule, lists nothing', async () => {
  const root = await mounts.fresh();
  expect(readdirSync(`${root}/vendor/module`)).toEqual([]);
});
