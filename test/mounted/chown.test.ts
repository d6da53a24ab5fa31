// chown(2) on a real mount.
import { chownSync, lchownSync, lstatSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, isRoot, useMounts } from '../support/mounted.ts';

const mounts = useMounts();
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;

test('lower objects belong to who mounts', async () => {
  const root = await mounts.fresh();
  for (const name of ['', 'README.md', 'docs', 'link']) {
    expect(lstatSync(`${root}/${name}`)).toMatchObject({ uid, gid });
  }
});

test('new objects belong to who makes them', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, '');
  expect(statSync(`${root}/new`)).toMatchObject({ uid, gid });
});

test('to the same owner always works', async () => {
  const root = await mounts.fresh();
  chownSync(`${root}/README.md`, uid, gid);
  expect(statSync(`${root}/README.md`)).toMatchObject({ uid, gid, size: 13 });
});

test.runIf(isRoot)(
  'root gives lower files, folders and symlinks away, and that survives a new mount',
  async () => {
    const root = await mounts.fresh();
    chownSync(`${root}/big.bin`, 1234, 4321);
    chownSync(`${root}/docs`, 1234, gid);
    lchownSync(`${root}/link`, 1234, 4321);
    await mounts.current[0]?.remount();
    expect(statSync(`${root}/big.bin`)).toMatchObject({ uid: 1234, gid: 4321, size: 300_000 });
    expect(statSync(`${root}/docs`)).toMatchObject({ uid: 1234, gid });
    expect(lstatSync(`${root}/link`)).toMatchObject({ uid: 1234, gid: 4321 });
  },
);

test.runIf(isRoot)('a change of owner takes the setuid bit away', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, '', { mode: 0o755 });
  const { chmodSync } = await import('node:fs');
  chmodSync(`${root}/new`, 0o4755);
  chownSync(`${root}/new`, 1234, 4321);
  expect(statSync(`${root}/new`).mode & 0o7777).toBe(0o755);
});

test.skipIf(isRoot)('an ordinary user cannot give files away', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => chownSync(`${root}/README.md`, 0, 0))).toBe('EPERM');
});
