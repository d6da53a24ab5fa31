// link(2) on a real mount.
import { appendFileSync, linkSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('two names of a lower file share content, attributes and number', async () => {
  const root = await mounts.fresh();
  linkSync(`${root}/README.md`, `${root}/docs/second`);
  appendFileSync(`${root}/docs/second`, 'more\n');
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('hello, lower\nmore\n');
  const [one, two] = [statSync(`${root}/README.md`), statSync(`${root}/docs/second`)];
  expect(one).toEqual(two);
  expect(one.nlink).toBe(2);
});

test('the count follows removals, and a new mount', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/one`, 'content');
  linkSync(`${root}/one`, `${root}/two`);
  linkSync(`${root}/two`, `${root}/docs/three`);
  unlinkSync(`${root}/one`);
  expect(statSync(`${root}/two`).nlink).toBe(2);
  await mounts.current[0]?.remount();
  expect(statSync(`${root}/docs/three`).nlink).toBe(2);
  expect(statSync(`${root}/docs/three`).ino).toBe(statSync(`${root}/two`).ino);
});

test('a folder is EPERM, an existing name EEXIST, a missing file ENOENT', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => linkSync(`${root}/docs`, `${root}/new`))).toBe('EPERM');
  expect(await codeOf(() => linkSync(`${root}/README.md`, `${root}/run.sh`))).toBe('EEXIST');
  expect(await codeOf(() => linkSync(`${root}/missing`, `${root}/new`))).toBe('ENOENT');
});

test('a symlink gets a second name itself', async () => {
  const root = await mounts.fresh();
  linkSync(`${root}/dangling`, `${root}/second`);
  expect(await codeOf(() => statSync(`${root}/second`))).toBe('ENOENT');
});
