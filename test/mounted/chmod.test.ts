// chmod(2) and access(2) on a real mount.
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { codeOf, isRoot, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('lower modes are those of the repository', async () => {
  const root = await mounts.fresh();
  expect(statSync(`${root}/README.md`).mode).toBe(0o100644);
  expect(statSync(`${root}/run.sh`).mode).toBe(0o100755);
  expect(statSync(`${root}/docs`).mode).toBe(0o040755);
  expect(execFileSync(`${root}/run.sh`, { encoding: 'utf8' })).toBe('run\n');
});

test('a lower file changes mode and keeps content, time and size, also across a new mount', async () => {
  const root = await mounts.fresh();
  const before = statSync(`${root}/big.bin`);
  chmodSync(`${root}/big.bin`, 0o400);
  for (let round = 0; round < 2; round++) {
    const after = statSync(`${root}/big.bin`);
    expect(after).toMatchObject({ mode: 0o100400, size: 300_000, mtimeMs: before.mtimeMs });
    expect(readFileSync(`${root}/big.bin`).length).toBe(300_000);
    await mounts.current[0]?.remount();
  }
});

test('folders and open files change mode, setgid and sticky bits included', async () => {
  const root = await mounts.fresh();
  chmodSync(`${root}/docs`, 0o1770);
  expect(statSync(`${root}/docs`).mode).toBe(0o041770);
  const fd = openSync(`${root}/new`, 'w');
  fchmodSync(fd, 0o4711);
  closeSync(fd);
  expect(statSync(`${root}/new`).mode).toBe(0o104711);
});

test('access tells what the mode allows', async () => {
  const root = await mounts.fresh();
  accessSync(`${root}/run.sh`, constants.X_OK);
  accessSync(`${root}/README.md`, constants.R_OK | constants.W_OK);
  expect(await codeOf(() => accessSync(`${root}/README.md`, constants.X_OK))).toBe('EACCES');
  expect(await codeOf(() => accessSync(`${root}/missing`))).toBe('ENOENT');
  chmodSync(`${root}/README.md`, 0o755);
  accessSync(`${root}/README.md`, constants.X_OK);
});

test.skipIf(isRoot)('a file without permissions is EACCES for its owner', async () => {
  const root = await mounts.fresh();
  chmodSync(`${root}/README.md`, 0);
  expect(await codeOf(() => readFileSync(`${root}/README.md`))).toBe('EACCES');
  expect(await codeOf(() => writeFileSync(`${root}/README.md`, ''))).toBe('EACCES');
});
