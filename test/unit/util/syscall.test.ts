// System calls through the C library, against what Node and the disk say.
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  AT_REMOVEDIR,
  chmodAt,
  copyFileRange,
  copyFileRangeAsync,
  getXattrAt,
  linkAt,
  listXattrAt,
  lseek,
  mkdirAt,
  mknodAt,
  O_PATH,
  openAt,
  openPath,
  readDirectory,
  readlinkAt,
  removeXattrAt,
  RENAME_EXCHANGE,
  renameAt,
  setXattrAt,
  statAt,
  statIfPresent,
  symlinkAt,
  unlinkAt,
  utimensAt,
} from '../../../src/util/syscall.ts';

let folder: string;
let dirfd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scorpio-test-syscall-'));
  dirfd = openPath(folder, O_PATH | constants.O_DIRECTORY);
});

afterEach(() => {
  closeSync(dirfd);
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text = 'content'): void => writeFileSync(join(folder, name), text);

test('stat gives what Node gives, to the nanosecond', () => {
  write('file');
  const stat = statAt(dirfd, 'file');
  const expected = statSync(join(folder, 'file'), { bigint: true });
  for (const key of ['dev', 'ino', 'mode', 'nlink', 'uid', 'gid', 'size', 'blocks', 'blksize'] as const) {
    expect(BigInt(stat[key]), key).toBe(expected[key]);
  }
  expect(BigInt(stat.mtime) * 1_000_000_000n + BigInt(stat.mtimeNsec)).toBe(expected.mtimeNs);
  expect(BigInt(stat.ctime) * 1_000_000_000n + BigInt(stat.ctimeNsec)).toBe(expected.ctimeNs);
});

test('a missing name is undefined, any other failure is thrown with its errno', () => {
  expect(statIfPresent(dirfd, 'missing')).toBeUndefined();
  expect(() => statAt(dirfd, 'missing')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  write('file');
  expect(() => statIfPresent(dirfd, 'file/below')).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
  expect(() => statAt(dirfd, 'n'.repeat(256))).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }));
  expect(() => statAt(dirfd, 'n'.repeat(10_000))).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }));
});

test('names are bytes, whatever their encoding', () => {
  const name = Buffer.from([0xff, 0x20, 0xc3, 0x28, 0x01]).toString('latin1');
  mkdirAt(dirfd, name, 0o755);
  expect(readDirectory(dirfd).map((entry) => entry.name)).toEqual([name]);
  unlinkAt(dirfd, name, AT_REMOVEDIR);
  expect(readDirectory(dirfd)).toEqual([]);
});

test('a folder of two thousand entries is read completely, with types and numbers', () => {
  for (let index = 0; index < 2_000; index++) mknodAt(dirfd, `file-${index}`, constants.S_IFREG | 0o644, 0);
  mkdirAt(dirfd, 'folder', 0o755);
  const entries = readDirectory(dirfd);
  expect(new Set(entries.map((entry) => entry.name)).size).toBe(2_001);
  const found = entries.find((entry) => entry.name === 'folder');
  expect(found).toMatchObject({ type: constants.S_IFDIR, ino: statAt(dirfd, 'folder').ino });
});

test('times before 1970, after 2038 and with nanoseconds are kept', () => {
  write('file');
  for (const seconds of [-5, 0, 2 ** 31 + 7, 2 ** 33]) {
    utimensAt(dirfd, 'file', undefined, { seconds, nanoseconds: 123_456_789 });
    expect(statAt(dirfd, 'file')).toMatchObject({ mtime: seconds, mtimeNsec: 123_456_789 });
  }
});

test('an open object is changed through its descriptor when the name is empty', () => {
  write('file');
  const fd = openAt(dirfd, 'file', O_PATH);
  chmodAt(fd, '', 0o600);
  setXattrAt(fd, '', 'user.colour', Buffer.from('red'));
  linkAt(fd, '', dirfd, 'other');
  unlinkAt(dirfd, 'file');
  expect(statAt(fd, '')).toMatchObject({ mode: constants.S_IFREG | 0o600, nlink: 1 });
  expect(getXattrAt(dirfd, 'other', 'user.colour')?.toString()).toBe('red');
  closeSync(fd);
});

test('extended attributes are set, listed, replaced and removed', () => {
  write('file');
  expect(listXattrAt(dirfd, 'file').filter((name) => name.startsWith('user.'))).toEqual([]);
  setXattrAt(dirfd, 'file', 'user.a', Buffer.from([0, 255]));
  setXattrAt(dirfd, 'file', 'user.b', Buffer.alloc(0));
  expect(listXattrAt(dirfd, 'file')).toEqual(expect.arrayContaining(['user.a', 'user.b']));
  expect(getXattrAt(dirfd, 'file', 'user.a')).toEqual(Buffer.from([0, 255]));
  expect(() => setXattrAt(dirfd, 'file', 'user.a', Buffer.alloc(0), 1)).toThrow(
    expect.objectContaining({ code: 'EEXIST' }),
  );
  removeXattrAt(dirfd, 'file', 'user.a');
  expect(getXattrAt(dirfd, 'file', 'user.a')).toBeUndefined();
});

test('a symlink itself is meant, never its target', () => {
  symlinkAt(Buffer.from('nowhere/ÿ', 'latin1'), dirfd, 'link');
  expect(statAt(dirfd, 'link').mode & constants.S_IFMT).toBe(constants.S_IFLNK);
  expect(readlinkAt(dirfd, 'link').toString('latin1')).toBe('nowhere/ÿ');
  utimensAt(dirfd, 'link', undefined, { seconds: 99, nanoseconds: 0 });
  expect(statAt(dirfd, 'link').mtime).toBe(99);
});

test('two names trade places in one step', () => {
  write('a', 'first');
  write('b', 'second');
  renameAt(dirfd, 'a', dirfd, 'b', RENAME_EXCHANGE);
  expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('second');
});

test('content is copied between descriptors, at once and in the thread pool', async () => {
  write('from', 'abcdef');
  write('to', '------');
  const [from, to] = [openSync(join(folder, 'from'), 'r'), openSync(join(folder, 'to'), 'r+')];
  expect(copyFileRange(from, 1, to, 0, 2)).toBe(2);
  expect(await copyFileRangeAsync(from, 3, to, 4, 100)).toBe(3);
  expect(readFileSync(join(folder, 'to'), 'utf8')).toBe('bc--def');
  expect(await copyFileRangeAsync(from, 0, from, 0, 1)).toBe(-1);
  closeSync(from);
  closeSync(to);
});

test('holes are found where the disk has them', () => {
  write('file', 'x');
  const fd = openSync(join(folder, 'file'), 'r+');
  expect(lseek(fd, 0, 3)).toBe(0);
  expect(() => lseek(fd, 1, 3)).toThrow(expect.objectContaining({ code: 'ENXIO' }));
  closeSync(fd);
});
