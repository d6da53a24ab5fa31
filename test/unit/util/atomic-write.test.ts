// Replacing files as a whole.
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { atomicWrite } from '../../../src/util/atomic-write.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scorpio-atomic-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

it('writes a new file and replaces an old one, with the mode that was asked for', async () => {
  const path = join(folder, 'f');
  await atomicWrite(path, 'one', { mode: 0o600 });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await atomicWrite(path, Buffer.from('two'));
  expect(await readFile(path, 'utf8')).toBe('two');
  expect(await readdir(folder)).toEqual(['f']);
});

it('gives readers the old content or the new, never a part', async () => {
  const path = join(folder, 'f');
  const versions = ['a', 'b'].map((letter) => letter.repeat(300_000));
  await writeFile(path, versions[0] ?? '');
  const writing = (async () => {
    for (let round = 1; round <= 20; round++) await atomicWrite(path, versions[round % 2] ?? '');
    return 'done' as const;
  })();
  let reads = 0;
  while ((await Promise.race([writing, readFile(path, 'utf8').then((text) => text)])) !== 'done') {
    expect(versions).toContain(await readFile(path, 'utf8'));
    reads++;
  }
  expect(reads).toBeGreaterThan(0);
});

it('leaves no temporary file when it fails', async () => {
  await mkdir(join(folder, 'd/inside'), { recursive: true });
  await expect(atomicWrite(join(folder, 'd'), 'x')).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readdir(folder)).toEqual(['d']);
});
