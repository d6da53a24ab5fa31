// How long work is shown: the bar, the lines, and the words.
import { expect, test } from 'vitest';
import { progressOfPrefetch } from '../../../src/cli/prefetch-progress.ts';
import {
  createProgressView,
  describeProgress,
  formatSeconds,
  shareOf,
  type ProgressNumbers,
} from '../../../src/cli/progress-view.ts';

const NUMBERS: ProgressNumbers = {
  isCounting: false,
  files: 10,
  filesDone: 5,
  filesFailed: 0,
  bytes: 2_000_000,
  totalBytes: 8_000_000,
  filesUnsized: 0,
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
  expect(shareOf({ ...NUMBERS, filesUnsized: 1 })).toBe(0.5);
  expect(shareOf({ ...NUMBERS, files: 0, filesDone: 0, totalBytes: 0, bytes: 0 })).toBe(0);
});

test('the numbers are one line', () => {
  expect(describeProgress(NUMBERS, 1_000_000)).toBe('5/10 files, 2 MB/8 MB, 1 MB/s, 6 s left');
  expect(describeProgress({ ...NUMBERS, isCounting: true, filesDone: 6, filesFailed: 1 }, 0)).toBe(
    '6/10+ files, 2 MB/8 MB+, 1 failed',
  );
});

test('a prefetch is shown by its files, or by its pack while one comes', () => {
  const event = {
    event: 'progress',
    counting: false,
    folders: 3,
    files: 10,
    present: 1,
    fetched: 3,
    failed: 1,
    bytes: 2_000_000,
    total_bytes: 8_000_000,
    unsized: 0,
    pack: null,
  } as const;
  expect(progressOfPrefetch(event)).toEqual({ ...NUMBERS, filesFailed: 1, instead: undefined });
  const pack = { objects: 1, total_objects: 4, bytes: 1000 };
  const packed = progressOfPrefetch({ ...event, pack });
  expect(packed.bytes).toBe(1000);
  expect(describeProgress(packed, 0)).toBe('receiving one pack 25%, 1 kB');
});

test('on a terminal it is a bar that stays on its line, elsewhere a line every five seconds', () => {
  let now = 0;
  const written: string[] = [];
  const write = (text: string): number => written.push(text);
  const bar = createProgressView({ isTTY: true, columns: 50, write }, () => now);
  bar.show(NUMBERS);
  bar.end();
  expect(written[0]).toBe('\r\u001B[K[#####................] 25% 5/10 files, 2 MB/8 MB');
  expect(written.at(-1)).toBe('\r\u001B[K');
  createProgressView({ isTTY: true, columns: 100, write }, () => now).show(NUMBERS);
  expect(written.at(-1)).toBe('\r\u001B[K[######..................] 25% 5/10 files, 2 MB/8 MB');
  createProgressView({ isTTY: true, columns: 20, write }, () => now).show(NUMBERS);
  expect(written.at(-1)).toBe('\r\u001B[K[##....] 25% 5/10 f');
  written.length = 0;
  const lines = createProgressView({ write }, () => now);
  lines.show(NUMBERS);
  now = 5000;
  lines.show({ ...NUMBERS, bytes: 7_000_000 });
  lines.end();
  expect(written).toEqual(['5/10 files, 7 MB/8 MB, 1 MB/s, 1 s left\n']);
});
