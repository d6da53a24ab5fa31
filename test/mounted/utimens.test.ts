// utimensat(2), and which times operations move, on a real mount.
import {
  appendFileSync,
  chmodSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';
import { FIRST_COMMIT_TIME } from '../support/git-repository.ts';

const mounts = useMounts();

test('lower objects have the time of the commit, each time they are looked at', async () => {
  const root = await mounts.fresh();
  for (const name of ['README.md', 'docs', 'docs/deep/er']) {
    expect(statSync(`${root}/${name}`).mtimeMs).toBe(FIRST_COMMIT_TIME * 1000);
  }
  await mounts.current[0]?.remount();
  expect(statSync(`${root}/README.md`).mtimeMs).toBe(FIRST_COMMIT_TIME * 1000);
});

test.skipIf(lacks('millisecond-times'))(
  'times are set to the nanosecond on files, folders and symlinks, and survive a new mount',
  async () => {
    const root = await mounts.fresh();
    const code = `
for name in ('README.md', 'docs', 'link'):
    os.utime(sys.argv[1] + '/' + name, ns=(1234567890123456789, 987654321000000001), follow_symlinks=False)`;
    await python(code, root);
    await mounts.current[0]?.remount();
    const read = `
for name in ('README.md', 'docs', 'link'):
    found = os.lstat(sys.argv[1] + '/' + name)
    print(found.st_atime_ns, found.st_mtime_ns)`;
    expect((await python(read, root)).split('\n')).toEqual(
      Array.from({ length: 3 }, () => '1234567890123456789 987654321000000001'),
    );
  },
);

test('touch without a time stamps now', async () => {
  const root = await mounts.fresh();
  await python('os.utime(sys.argv[1])', `${root}/README.md`);
  expect(Math.abs(statSync(`${root}/README.md`).mtimeMs - Date.now())).toBeLessThan(10_000);
});

test('a write moves mtime and ctime; chmod and rename do not move mtime', async () => {
  const root = await mounts.fresh();
  const past = new Date(1_000_000_000_000);
  utimesSync(`${root}/README.md`, past, past);
  chmodSync(`${root}/README.md`, 0o600);
  renameSync(`${root}/README.md`, `${root}/moved`);
  expect(statSync(`${root}/moved`).mtimeMs).toBe(past.getTime());
  appendFileSync(`${root}/moved`, 'more');
  expect(statSync(`${root}/moved`).mtimeMs).toBeGreaterThan(Date.now() - 10_000);
});

test('a time that was set stays after the file that was written is closed', async () => {
  const root = await mounts.fresh();
  writeFileSync(`${root}/new`, 'content');
  lutimesSync(`${root}/new`, 5, 6);
  expect(readFileSync(`${root}/new`, 'utf8')).toBe('content');
  expect(statSync(`${root}/new`).mtimeMs).toBe(6000);
});

test('making something in a folder moves its times, also where the kernel may have cached them', async () => {
  const root = await mounts.fresh();
  const before = statSync(`${root}/docs`);
  mkdirSync(`${root}/docs/new`);
  const between = statSync(`${root}/docs`);
  expect(between.mtimeMs).toBeGreaterThan(before.mtimeMs);
  await sleep(20);
  renameSync(`${root}/docs/new`, `${root}/src/new`);
  expect(statSync(`${root}/docs`).mtimeMs).toBeGreaterThan(between.mtimeMs);
  expect(statSync(`${root}/src`).mtimeMs).toBeGreaterThan(between.mtimeMs);
});
