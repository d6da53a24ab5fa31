// Copying content between open files.
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { copyContent } from '../../../src/util/copy-content.ts';

let folders: string[];

beforeEach(() => {
  // Two filesystems, between which the kernel does not copy by itself.
  folders = [tmpdir(), '/dev/shm'].map((base) => mkdtempSync(join(base, 'scorpio-test-copy-')));
});

afterEach(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function copied(content: Buffer, from: string, to: string, size: number): Promise<Buffer> {
  writeFileSync(join(from, 'source'), content);
  const source = openSync(join(from, 'source'), 'r');
  const target = openSync(join(to, 'target'), 'w');
  await copyContent(source, target, size).finally(() => {
    closeSync(source);
    closeSync(target);
  });
  return readFileSync(join(to, 'target'));
}

for (const size of [0, 1, 4096, 256 * 1024, 256 * 1024 + 1, 3 * 1024 * 1024 + 17]) {
  test(`${size} bytes arrive unchanged, on one filesystem and between two`, async () => {
    const content = randomBytes(size);
    const [disk, memory] = folders as [string, string];
    expect((await copied(content, disk, disk, size)).equals(content)).toBe(true);
    expect((await copied(content, memory, disk, size)).equals(content)).toBe(true);
    expect((await copied(content, disk, memory, size)).equals(content)).toBe(true);
  });
}

test('a source that is shorter than expected ends the copy', async () => {
  const [disk] = folders as [string, string];
  for (const length of [100, 600_000]) {
    const content = randomBytes(length);
    expect((await copied(content, disk, disk, length + 5)).equals(content)).toBe(true);
  }
});

test('a target that cannot be written fails with its errno', async () => {
  const [disk] = folders as [string, string];
  writeFileSync(join(disk, 'source'), randomBytes(600_000));
  const source = openSync(join(disk, 'source'), 'r');
  const target = openSync(join(disk, 'source'), 'r');
  await expect(copyContent(source, target, 600_000)).rejects.toMatchObject({ code: 'EBADF' });
  closeSync(source);
  closeSync(target);
});
