// fallocate(2) on a real mount.
import { readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();
const FALLOCATE = `
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
call('fallocate', fd, int(sys.argv[2]), ctypes.c_long(int(sys.argv[3])), ctypes.c_long(int(sys.argv[4])))`;
const fallocate = (path: string, mode: number, offset: number, length: number): Promise<string> =>
  python(FALLOCATE, path, String(mode), String(offset), String(length));

test.skipIf(lacks('fallocate'))('reserves space and grows lower files and new ones with zeros', async () => {
  const root = await mounts.fresh();
  expect(await fallocate(`${root}/README.md`, 0, 0, 100_000)).toBe('');
  const content = readFileSync(`${root}/README.md`);
  expect(content.length).toBe(100_000);
  expect(content.toString('utf8', 0, 14)).toBe('hello, lower\n\0');
  expect(await fallocate(`${root}/new`, 0, 0, 1_000_000)).toBe('');
  expect(statSync(`${root}/new`).blocks * 512).toBeGreaterThanOrEqual(1_000_000);
});

test.skipIf(lacks('fallocate'))('with FALLOC_FL_KEEP_SIZE keeps the size', async () => {
  const root = await mounts.fresh();
  expect(await fallocate(`${root}/README.md`, 1, 0, 100_000)).toBe('');
  expect(statSync(`${root}/README.md`).size).toBe(13);
});

test.skipIf(lacks('fallocate'))('punches holes', async () => {
  const root = await mounts.fresh();
  expect(await fallocate(`${root}/big.bin`, 3, 8192, 100_000)).toBe('');
  const content = readFileSync(`${root}/big.bin`);
  expect(content.length).toBe(300_000);
  expect(content.subarray(8192, 108_192).every((byte) => byte === 0)).toBe(true);
  expect(content.subarray(0, 8192).every((byte) => byte === 0)).toBe(false);
});

test('a bad range is EINVAL', async () => {
  const root = await mounts.fresh();
  expect(await fallocate(`${root}/README.md`, 0, 0, 0)).toBe('EINVAL');
});
