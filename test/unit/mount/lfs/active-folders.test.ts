// The record of checked-out folders: written by several at once, and never at the cost of what else the file says.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseToml } from '../../../../src/config/toml.ts';
import { createActiveFolders } from '../../../../src/mount/lfs/active-folders.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scorpio-test-active-'));
  file = join(folder, 'sub', 'config.toml');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('without a file there are none, and the first makes it', async () => {
  const active = createActiveFolders(file);
  expect(await active.list()).toEqual([]);
  expect(await active.remove(['/a'])).toEqual([]);
  expect(await active.add(['/b', '/a'])).toEqual(['/a', '/b']);
  expect(await createActiveFolders(file).list()).toEqual(['/a', '/b']);
});

test('changes of the same moment all count', async () => {
  const active = createActiveFolders(file);
  const names = Array.from({ length: 30 }, (_, index) => `/f${index}`);
  await Promise.all(names.map((name) => active.add([name])));
  await Promise.all(names.slice(0, 29).map((name) => active.remove([name])));
  expect(await active.list()).toEqual(['/f29']);
  expect(readdirSync(join(folder, 'sub'))).toEqual(['config.toml']);
});

test('a folder takes those below it along, and its neighbours not', async () => {
  const active = createActiveFolders(file);
  await active.add(['/a', '/a/b', '/ab', '/c']);
  expect(await active.remove(['/a'])).toEqual(['/ab', '/c']);
  expect(await active.remove(['/'])).toEqual([]);
});

test('paths that a person wrote mean what a path means', async () => {
  file = join(folder, 'config.toml');
  const paths = ['/a/', '//b//c', '/d/../e/./f', '/../..', 'relative', ''];
  writeFileSync(file, paths.map((path) => `[[lfs]]\npath = "${path}"\nnote = 1\n`).join(''));
  const active = createActiveFolders(file);
  expect(await active.list()).toEqual(['/', '/a', '/b/c', '/e/f']);
  expect(await active.remove(['/b'])).toEqual(['/', '/a', '/e/f']);
  const { lfs } = parseToml(readFileSync(file, 'utf8')) as { lfs: { path: string }[] };
  expect(lfs.map(({ path }) => path)).toEqual(paths.filter((path) => path !== '//b//c'));
});

test('what else the file says is kept, also tables that nobody understands', async () => {
  const text =
    '[[works]]\npath = "/x"\nhash = "1"\n\n[[lfs]]\npath = "/a"\nsince = 2024-01-01\n\n[[lfs]]\nother = 1\n';
  file = join(folder, 'config.toml');
  writeFileSync(file, text);
  const active = createActiveFolders(file);
  expect(await active.add(['/b'])).toEqual(['/a', '/b']);
  const after = parseToml(readFileSync(file, 'utf8'));
  const before = parseToml(text);
  expect(after).toEqual({ ...before, lfs: [...(before['lfs'] as unknown[]), { path: '/b' }] });
  await active.remove(['/']);
  expect(parseToml(readFileSync(file, 'utf8'))).toEqual({ works: before['works'], lfs: [{ other: 1 }] });
});
