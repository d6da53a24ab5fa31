// symlink(2) and readlink(2) on a real mount.
import { lstatSync, readFileSync, readlinkSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { codeOf, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('lower symlinks have their target, size and type', async () => {
  const root = await mounts.fresh();
  expect(readlinkSync(`${root}/link`)).toBe('README.md');
  expect(readlinkSync(`${root}/docs/link`)).toBe('../README.md');
  const stat = lstatSync(`${root}/dangling`);
  expect(stat.isSymbolicLink()).toBe(true);
  expect(stat.size).toBe('nowhere/at all'.length);
  expect(stat.mode & 0o777).toBe(0o777);
});

test('new symlinks lead to files, folders and nowhere', async () => {
  const root = await mounts.fresh();
  symlinkSync('docs/deep', `${root}/short`);
  expect(readFileSync(`${root}/short/note.txt`, 'utf8')).toBe('note\n');
  writeFileSync(`${root}/short/new`, 'new');
  expect(readFileSync(`${root}/docs/deep/new`, 'utf8')).toBe('new');
  expect(realpathSync(`${root}/short/new`)).toBe(realpathSync(`${root}/docs/deep/new`));
  symlinkSync('loop', `${root}/loop`);
  expect(await codeOf(() => readFileSync(`${root}/loop`))).toBe('ELOOP');
});

test.skipIf(lacks('utf8-names'))('targets are bytes up to 4095 of them', async () => {
  const root = await mounts.fresh();
  for (const [index, target] of [Buffer.from('caf\xe9', 'latin1'), Buffer.alloc(4095, 'x')].entries()) {
    symlinkSync(target, `${root}/s${index}`);
    expect(readlinkSync(`${root}/s${index}`, 'buffer')).toEqual(target);
  }
});

test('readlink of a file is EINVAL, symlink over a name EEXIST', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => readlinkSync(`${root}/README.md`))).toBe('EINVAL');
  expect(await codeOf(() => symlinkSync('x', `${root}/README.md`))).toBe('EEXIST');
});
