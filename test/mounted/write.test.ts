// write(2), pwrite(2), writev(2), copy_file_range(2) on a real mount.
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { expectBytes } from '../support/filesystem-assertions.ts';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';
import { randomBytes } from '../support/random.ts';
import { lowerSeed } from '../support/seed-tree.ts';

const mounts = useMounts();
const big = (lowerSeed['big.bin'] as { content: Buffer }).content;

test('what is written in the middle of a lower file replaces just that', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/big.bin`, 'r+');
  writeSync(fd, 'CHANGED', 150_000);
  closeSync(fd);
  const expected = Buffer.from(big);
  expected.write('CHANGED', 150_000);
  expectBytes(readFileSync(`${root}/big.bin`), expected);
  expect(statSync(`${root}/big.bin`).size).toBe(300_000);
});

test('large files are written and read back', async () => {
  const root = await mounts.fresh();
  const content = randomBytes(9_000_000, 11);
  writeFileSync(`${root}/large`, content);
  expectBytes(readFileSync(`${root}/large`), content);
  copyFileSync(`${root}/large`, `${root}/docs/copy`);
  expectBytes(readFileSync(`${root}/docs/copy`), content);
});

test('a hole before what is written reads as zeros', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/sparse`, 'w+');
  writeSync(fd, 'end', 1_000_000);
  closeSync(fd);
  const content = readFileSync(`${root}/sparse`);
  expect(content.length).toBe(1_000_003);
  expect(content.subarray(0, 1_000_000).every((byte) => byte === 0)).toBe(true);
});

test('a vector of buffers is written in order', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/new`, 'w');
  expect(writevSync(fd, [Buffer.from('one '), Buffer.from('two')])).toBe(7);
  closeSync(fd);
  expect(readFileSync(`${root}/new`, 'utf8')).toBe('one two');
});

test('appends from many handles do not overwrite each other', async () => {
  const root = await mounts.fresh();
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => appendFile(`${root}/docs/a.md`, `line ${index}\n`)),
  );
  expect(new Set(readFileSync(`${root}/docs/a.md`, 'utf8').trim().split('\n')).size).toBe(51);
});

test('copy_file_range copies from a lower file', async () => {
  const root = await mounts.fresh();
  const code = `
source = os.open(sys.argv[1], os.O_RDONLY)
target = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o644)
copied = 0
while copied < 200000:
    count = os.copy_file_range(source, target, 200000 - copied, 1000 + copied, copied)
    if count == 0:
        break
    copied += count
print(copied)`;
  expect(await python(code, `${root}/big.bin`, `${root}/copy`)).toBe('200000');
  expectBytes(readFileSync(`${root}/copy`), big.subarray(1000, 201_000));
});

test('after O_APPEND was taken off a descriptor, writes go where they should', async () => {
  const root = await mounts.fresh();
  const printed = await python(
    `fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
os.write(fd, b"end")
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
os.pwrite(fd, b"HELLO", 0)
fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
os.write(fd, b"!")
os.close(fd)`,
    `${root}/README.md`,
  );
  expect(printed).toBe('');
  const expected = 'HELLO, lower\nend!';
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe(expected);
  expect(readFileSync(`${mounts.current[0]?.upperDir}/README.md`, 'utf8')).toBe(expected);
});
