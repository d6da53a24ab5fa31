// Files of the store that nobody uses any more are closed: the store keeps what is open, whatever its limit.
import { constants, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openDescriptorsBelow } from '../../support/memory-layer.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

/** More than what counts as idle. */
const LONG_MS = 10_000;

let overlay: UpperOverlay;
beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(async () => {
  vi.useRealTimers();
  await overlay.dispose();
});

/** Files of the lower layer that are open. */
const openFiles = (): number =>
  openDescriptorsBelow(tmpdir()).filter((fd) => readlinkSync(`/proc/self/fd/${fd}`).includes('-test-layer-'))
    .length;

async function read(ino: number, fh: number): Promise<string> {
  const target = Buffer.alloc(10);
  const { filesystem, ctx } = overlay.fs;
  return target.toString('latin1', 0, await filesystem.read(ino, fh, target, 0, ctx));
}

test('without an open file, after a while; and it can be read again', async () => {
  overlay = new UpperOverlay({ file: seedFile('lower') });
  const { ino } = await overlay.fs.stat('file');
  expect(await read(ino, 0)).toBe('lower');
  expect(openFiles()).toBe(1);
  vi.advanceTimersByTime(LONG_MS);
  expect(openFiles()).toBe(0);
  expect(await read(ino, 0)).toBe('lower');
});

test('not while a process has it open', async () => {
  overlay = new UpperOverlay({ file: seedFile('lower') });
  const { filesystem, ctx } = overlay.fs;
  const { ino } = await overlay.fs.stat('file');
  const { fh } = await filesystem.open(ino, constants.O_RDONLY, ctx);
  expect(await read(ino, fh)).toBe('lower');
  vi.advanceTimersByTime(LONG_MS);
  expect(openFiles()).toBe(1);
  filesystem.release(fh);
  vi.advanceTimersByTime(LONG_MS);
  expect(openFiles()).toBe(0);
});
