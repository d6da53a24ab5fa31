// open(2) and creat(2) on a real mount.
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { codeOf, useMounts } from '../support/mounted.ts';

const mounts = useMounts();

test('opening a missing file is ENOENT, below a file ENOTDIR', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => openSync(`${root}/missing`, 'r'))).toBe('ENOENT');
  expect(await codeOf(() => openSync(`${root}/README.md/below`, 'r'))).toBe('ENOTDIR');
});

test('O_CREAT makes a file with the mode that the umask leaves', async () => {
  const root = await mounts.fresh();
  const before = process.umask(0o027);
  try {
    closeSync(openSync(`${root}/new`, 'w', 0o666));
  } finally {
    process.umask(before);
  }
  expect(statSync(`${root}/new`)).toMatchObject({
    size: 0,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
  expect(statSync(`${root}/new`).mode & 0o7777).toBe(0o640);
});

test('O_EXCL refuses a name that exists, also of a lower file and of a dangling symlink', async () => {
  const root = await mounts.fresh();
  symlinkSync('nowhere', `${root}/symlink`);
  for (const name of ['README.md', 'docs', 'dangling', 'symlink']) {
    expect(await codeOf(() => openSync(`${root}/${name}`, 'wx'))).toBe('EEXIST');
  }
});

test('O_TRUNC empties lower and new files', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, 'content');
  for (const name of ['README.md', 'new']) {
    closeSync(openSync(`${root}/${name}`, constants.O_WRONLY | constants.O_TRUNC));
    expect(statSync(`${root}/${name}`).size).toBe(0);
  }
});

test('O_APPEND writes at the end of a lower file', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/README.md`, 'a');
  writeSync(fd, 'one ');
  writeSync(fd, 'two');
  closeSync(fd);
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('hello, lower\none two');
});

test('O_NOFOLLOW of a symlink is ELOOP, O_DIRECTORY of a file ENOTDIR, writing a folder EISDIR', async () => {
  const root = await mounts.fresh();
  expect(await codeOf(() => openSync(`${root}/link`, constants.O_RDONLY | constants.O_NOFOLLOW))).toBe(
    'ELOOP',
  );
  expect(await codeOf(() => openSync(`${root}/README.md`, constants.O_DIRECTORY))).toBe('ENOTDIR');
  expect(await codeOf(() => openSync(`${root}/docs`, 'w'))).toBe('EISDIR');
});

test('a file opened through a symlink is the file', async () => {
  const root = await mounts.fresh();
  expect(readFileSync(`${root}/docs/link`, 'utf8')).toBe('hello, lower\n');
  writeFileSync(`${root}/link`, 'through');
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('through');
});

test('a handle for reading sees what is written later, first write included', async () => {
  const root = await mounts.fresh();
  const reader = openSync(`${root}/README.md`, 'r');
  const buffer = Buffer.alloc(100);
  expect(readSync(reader, buffer, 0, 100, 0)).toBe(13);
  writeFileSync(`${root}/README.md`, 'changed completely');
  const count = readSync(reader, buffer, 0, 100, 0);
  closeSync(reader);
  expect(buffer.toString('utf8', 0, count)).toBe('changed completely');
});

test('reading a handle opened for writing, and writing one opened for reading, is EBADF', async () => {
  const root = await mounts.fresh();
  const writer = openSync(`${root}/new`, 'w');
  const reader = openSync(`${root}/README.md`, 'r');
  expect(await codeOf(() => readSync(writer, Buffer.alloc(1)))).toBe('EBADF');
  expect(await codeOf(() => writeSync(reader, 'x'))).toBe('EBADF');
  closeSync(writer);
  closeSync(reader);
});
