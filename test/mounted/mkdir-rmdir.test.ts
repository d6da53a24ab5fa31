// mkdir(2) and rmdir(2) on a real mount.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { codeOf, useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

test('mkdir makes an empty folder with the mode that the umask leaves', async () => {
  const root = await mounts.fresh();
  const before = process.umask(0o027);
  try {
    mkdirSync(`${root}/docs/new`, 0o777);
  } finally {
    process.umask(before);
  }
  expect(statSync(`${root}/docs/new`).mode & 0o7777).toBe(0o750);
  expect(readdirSync(`${root}/docs/new`)).toEqual([]);
});

test('mkdir of what exists is EEXIST, below nothing ENOENT, below a file ENOTDIR', async () => {
  const root = await mounts.fresh();
  for (const name of ['docs', 'README.md', 'link', 'dangling', '.', '..']) {
    expect(await codeOf(() => mkdirSync(`${root}/${name}`))).toBe('EEXIST');
  }
  expect(await codeOf(() => mkdirSync(`${root}/missing/new`))).toBe('ENOENT');
  expect(await codeOf(() => mkdirSync(`${root}/README.md/new`))).toBe('ENOTDIR');
});

test('rmdir of a lower folder is ENOTEMPTY until all in it was removed', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => rmdirSync(`${root}/docs/deep/er/est`))).toBe('ENOTEMPTY');
  unlinkSync(`${root}/docs/deep/er/est/leaf.txt`);
  rmdirSync(`${root}/docs/deep/er/est`);
  rmdirSync(`${root}/docs/deep/er`);
  expect(readdirSync(`${root}/docs/deep`)).toEqual(['note.txt']);
});

test('rmdir of files, missing names, `.` and `..`', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => rmdirSync(`${root}/README.md`))).toBe('ENOTDIR');
  expect(await codeOf(() => rmdirSync(`${root}/link`))).toBe('ENOTDIR');
  expect(await codeOf(() => rmdirSync(`${root}/missing`))).toBe('ENOENT');
  expect(await python('os.rmdir(sys.argv[1] + "/docs/.")', root)).toBe('EINVAL');
  expect(await python('os.rmdir(sys.argv[1] + "/docs/..")', root)).toBe('ENOTEMPTY');
});

test('a lower folder that was removed and made again is empty, also after a new mount', async () => {
  const root = await mounts.fresh();
  rmSync(`${root}/docs`, { recursive: true });
  expect(existsSync(`${root}/docs`)).toBe(false);
  mkdirSync(`${root}/docs`);
  writeFileSync(`${root}/docs/new`, '');
  expect(readdirSync(`${root}/docs`)).toEqual(['new']);
  await mounts.current[0]?.remount();
  expect(readdirSync(`${root}/docs`)).toEqual(['new']);
});

test.skipIf(lacks('utf8-names'))('rm -r of the whole tree leaves nothing', async () => {
  const root = await mounts.fresh();
  for (const name of readdirSync(root)) rmSync(`${root}/${name}`, { recursive: true });
  expect(readdirSync(root)).toEqual([]);
  await mounts.current[0]?.remount();
  expect(readdirSync(root)).toEqual([]);
});

test('a path of 40 folders works', async () => {
  const root = await mounts.fresh();
  const path = `${root}/${Array.from({ length: 40 }, (_, index) => `level-${index}`).join('/')}`;
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/file`, 'deep');
  expect(statSync(`${path}/file`).size).toBe(4);
});
