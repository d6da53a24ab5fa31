// mmap(2) on a real mount.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { expectBytes } from '../support/filesystem-assertions.ts';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';
import { lowerSeed } from '../support/seed-tree.ts';

const mounts = useMounts();
const big = (lowerSeed['big.bin'] as { content: Buffer }).content;

test('a shared writable mapping of a lower file changes the file', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1], os.O_RDWR)
with mmap.mmap(fd, 0) as mapping:
    mapping[100000:100007] = b'CHANGED'
    mapping.flush()
    print(os.pread(fd, 7, 100000).decode())`;
  expect(await python(code, `${root}/big.bin`)).toBe('CHANGED');
  const expected = Buffer.from(big);
  expected.write('CHANGED', 100_000);
  expectBytes(readFileSync(`${root}/big.bin`), expected);
  await mounts.current[0]?.remount();
  expectBytes(readFileSync(`${root}/big.bin`), expected);
});

test('a private mapping changes nothing', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1], os.O_RDONLY)
with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapping:
    mapping[0:5] = b'HELLO'
    print(mapping[:12].decode())`;
  expect(await python(code, `${root}/README.md`)).toBe('HELLO, lower');
  expect(readFileSync(`${root}/README.md`, 'utf8')).toBe('hello, lower\n');
});

test('a read-only mapping sees what is written afterwards', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1], os.O_RDONLY)
with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapping:
    before = mapping[:5]
    with open(sys.argv[1], 'r+b') as file:
        file.write(b'HELLO')
    print(before.decode(), mapping[:5].decode())`;
  expect(await python(code, `${root}/README.md`)).toBe('hello HELLO');
});

test('a new file is written through a mapping, and mappings of two processes are shared', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, Buffer.alloc(20_000));
  const code = `
fd = os.open(sys.argv[1], os.O_RDWR)
mapping = mmap.mmap(fd, 0)
child = os.fork()
if child == 0:
    own = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
    own[10000:10005] = b'child'
    os._exit(0)
os.waitpid(child, 0)
print(mapping[10000:10005].decode())`;
  expect(await python(code, `${root}/new`)).toBe('child');
  expect(readFileSync(`${root}/new`).toString('utf8', 10_000, 10_005)).toBe('child');
});

test('a program runs from the mount', async () => {
  const root = await mounts.fresh();
  const code = `
import shutil, subprocess
shutil.copy(shutil.which('true'), sys.argv[1] + '/program')
print(subprocess.run([sys.argv[1] + '/program']).returncode)`;
  expect(await python(code, root)).toBe('0');
});
