// unlink(2) on a real mount.
import { existsSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('a lower file is gone from listings and lookups', async () => {
  const root = await mounts.fresh();
  unlinkSync(`${root}/docs/a.md`);
  expect(existsSync(`${root}/docs/a.md`)).toBe(false);
  expect(readdirSync(`${root}/docs`).sort()).toEqual(['b.md', 'deep', 'link']);
  expect(await codeOf(() => unlinkSync(`${root}/docs/a.md`))).toBe('ENOENT');
});

test('the name can be used again', async () => {
  const root = await mounts.fresh();
  for (let round = 0; round < 5; round++) {
    unlinkSync(`${root}/README.md`);
    writeFileSync(`${root}/README.md`, `round ${round}`, { flag: 'wx' });
    expect(readFileSync(`${root}/README.md`, 'utf8')).toBe(`round ${round}`);
  }
});

test('stays removed after a new mount', async () => {
  const root = await mounts.fresh();
  unlinkSync(`${root}/README.md`);
  await mounts.current[0]?.remount();
  expect(existsSync(`${root}/README.md`)).toBe(false);
});

test('a folder is EISDIR', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => unlinkSync(`${root}/docs`))).toBe('EISDIR');
});

test('a name below a file is ENOTDIR', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => unlinkSync(`${root}/README.md/below`))).toBe('ENOTDIR');
});

test('a symlink goes, its target stays', async () => {
  const root = await mounts.fresh();
  unlinkSync(`${root}/link`);
  expect(existsSync(`${root}/README.md`)).toBe(true);
});
