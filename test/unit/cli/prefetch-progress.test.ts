// How a prefetch is shown: the bar, the lines, and the words.
import { expect, test } from 'vitest';
import {
  createProgressView,
  describeProgress,
  formatSeconds,
  shareOf,
  type PrefetchNumbers,
} from '../../../src/cli/prefetch-progress.ts';

const NUMBERS: PrefetchNumbers = {
  counting: false,
  folders: 3,
  files: 10,
  present: 2,
  fetched: 3,
  failed: 0,
  bytes: 2_000_000,
  total_bytes: 8_000_000,
  unsized: 0,
  pack: null,
};

test('times are short', () => {
  expect([0.4, 59, 61, 3599, 3661].map(formatSeconds)).toEqual([
    '0 s',
    '59 s',
    '1:01 min',
    '59:59 min',
    '1:01 h',
  ]);
});

test('the share is that of bytes where all sizes are known, else of files', () => {
  expect(shareOf(NUMBERS)).toBe(0.25);
  expect(shareOf({ ...NUMBERS, unsized: 1 })).toBe(0.5);
  expect(shareOf({ ...NUMBERS, files: 0, present: 0, fetched: 0, total_bytes: 0, bytes: 0 })).toBe(0);
});

test('the numbers are one line', () => {
  expect(describeProgress(NUMBERS, 1_000_000)).toBe('5/10 files, 2 MB/8 MB, 1 MB/s, 6 s left');
  expect(describeProgress({ ...NUMBERS, counting: true, failed: 1 }, 0)).toBe(
    '6/10+ files, 2 MB/8 MB+, 1 failed',
  );
  const pack = { objects: 1, total_objects: 4, bytes: 1000 };
  expect(describeProgress({ ...NUMBERS, pack }, 0)).toBe('receiving one pack 25%, 1 kB');
});

test('on a terminal it is a bar that stays on its line, elsewhere a line every five seconds', () => {
  let now = 0;
  const written: string[] = [];
  const write = (text: string): number => written.push(text);
  const bar = createProgressView({ isTTY: true, columns: 50, write }, () => now);
  bar.show(NUMBERS);
  bar.end();
  expect(written[0]).toBe('\r\u001B[K[######..................] 25% 5/10 files, 2 MB/8');
  expect(written.at(-1)).toBe('\r\u001B[K');
  written.length = 0;
  const lines = createProgressView({ write }, () => now);
  lines.show(NUMBERS);
  now = 5000;
  lines.show({ ...NUMBERS, bytes: 7_000_000 });
  lines.end();
  expect(written).toEqual(['5/10 files, 7 MB/8 MB, 1 MB/s, 1 s left\n']);
});
