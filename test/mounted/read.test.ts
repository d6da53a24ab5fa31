// read(2), pread(2), readv(2) on a real mount.
import { closeSync, openSync, readFileSync, readSync, readvSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { expectBytes } from '../support/filesystem-assertions.ts';
import { useMounts } from '../support/mounted.ts';
import { lowerSeed } from '../support/seed-tree.ts';

const mounts = useMounts();
const big = (lowerSeed['big.bin'] as { content: Buffer }).content;

test('a lower file reads as it is in the repository', async () => {
  const root = await mounts.fresh();
  expectBytes(readFileSync(`${root}/big.bin`), big);
  expect(readFileSync(`${root}/empty`).length).toBe(0);
  expect(readFileSync(`${root}/docs/deep/er/est/leaf.txt`, 'utf8')).toBe('leaf\n');
});

test('reads at any position, of any length, across the end', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/big.bin`, 'r');
  for (const [position, length] of [
    [0, 1],
    [4095, 2],
    [131_071, 131_074],
    [299_999, 10],
    [300_000, 10],
    [10 ** 9, 1],
  ] as const) {
    const buffer = Buffer.alloc(length);
    const count = readSync(fd, buffer, 0, length, position);
    expectBytes(buffer.subarray(0, count), big.subarray(position, position + length));
  }
  closeSync(fd);
});

test('a vector of buffers is filled in order', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/README.md`, 'r');
  const [one, two] = [Buffer.alloc(5), Buffer.alloc(100)];
  expect(readvSync(fd, [one, two], 0)).toBe(13);
  closeSync(fd);
  expect(one.toString() + two.toString('utf8', 0, 8)).toBe('hello, lower\n');
});

test('many reads at once of one file that was never read agree', async () => {
  const root = await mounts.fresh();
  const handles = await Promise.all(Array.from({ length: 16 }, () => open(`${root}/big.bin`, 'r')));
  const contents = await Promise.all(handles.map((handle) => handle.readFile()));
  await Promise.all(handles.map((handle) => handle.close()));
  for (const content of contents) expectBytes(content, big);
});

test('a folder of small files reads completely', async () => {
  const root = await mounts.fresh();
  for (let index = 0; index < 120; index++) {
    expect(readFileSync(`${root}/many/file-${index}`, 'utf8')).toBe(`${index}\n`);
  }
});
