// Upper folders that a crash, or somebody with other plans, left behind.
import {
  chmodSync,
  constants,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { outcome } from '../../support/filesystem-assertions.ts';
import { seedFile } from '../../support/seed-tree.ts';
import { UpperOverlay } from '../../support/upper-overlay.ts';

const ID = 'a'.repeat(40);
let overlay: UpperOverlay;

beforeEach(() => {
  overlay = new UpperOverlay({ 'dir/file': seedFile('lower content') });
});
afterEach(() => overlay.dispose());

test('chmod of a file that became a symlink in the upper folder leaves the target alone', async () => {
  const victim = overlay.path('victim');
  writeFileSync(victim, '');
  chmodSync(victim, 0o600);
  await overlay.fs.writeFile('mine', 'x');
  unlinkSync(overlay.upper('mine'));
  symlinkSync(victim, overlay.upper('mine'));
  expect(await outcome(() => overlay.fs.setattr('mine', { mode: 0o666 }))).toBe('EOPNOTSUPP');
  expect(statSync(victim).mode & 0o777).toBe(0o600);
});

test('inode numbers that no overlay gives are not taken over', async () => {
  const given: Record<string, string> = {
    zero: '0',
    root: '1',
    large: '9007199254740993',
    larger: '9999999999999999',
    largest: '9999999999999999',
  };
  for (const name of Object.keys(given)) await overlay.fs.writeFile(name, name);
  await overlay.reopen(() => {
    for (const [name, number] of Object.entries(given)) overlay.mark(name, 'scorpio', `${number} ${ID}`);
  });
  const numbers = new Set<number>();
  for (const name of Object.keys(given)) {
    const { ino } = await overlay.fs.stat(name);
    expect(ino).toBeGreaterThan(1);
    expect(Number.isSafeInteger(ino)).toBe(true);
    numbers.add(ino);
    expect(await overlay.fs.readText(name)).toBe(name);
  }
  expect(numbers.size).toBe(5);
});

test('a file whose emptying a crash cut short is empty', async () => {
  await overlay.fs.setattr('dir/file', { mode: 0o600 });
  await overlay.reopen(() => truncateSync(overlay.upper('dir/file'), 0));
  expect((await overlay.fs.stat('dir/file')).size).toBe(0);
  const fh = await overlay.fs.open('dir/file', constants.O_RDWR);
  expect((await overlay.fs.read(fh)).length).toBe(0);
  await overlay.fs.write(fh, 'new');
  expect(await overlay.fs.readText('dir/file')).toBe('new');
});

test('what somebody put into the upper folder meanwhile is not removed by an attempt to make it', async () => {
  await overlay.fs.names('');
  writeFileSync(overlay.upper('theirs'), 'theirs');
  expect(await outcome(() => overlay.fs.create('theirs'))).toBe('EEXIST');
  expect(await outcome(() => overlay.fs.mkdir('theirs'))).toBe('EEXIST');
  expect(readFileSync(overlay.upper('theirs'), 'utf8')).toBe('theirs');
});
