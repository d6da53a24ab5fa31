// A memory budget on a real mount: the kernel is made to forget, and nobody who uses something notices.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { python } from '../support/python.ts';
import { makeTestFolder } from '../support/test-folder.ts';

const CHILD = join(import.meta.dirname, '../support/memory-child.mjs');
const FOLDERS = 50;
const FILES = 1000;
const ALLOWANCE = 512 * 1024;
/** More is never known at once: what fits, and what comes while the kernel forgets, which a busy machine delays. */
const MOST_INODES = 30_000;

interface Report {
  readonly held: number;
  readonly inodes: number;
  readonly evicted: number;
}

let folder: string;
let root: string;
let child: ChildProcess;

async function start(canPrune: boolean): Promise<void> {
  const options = JSON.stringify({ folders: FOLDERS, files: FILES, allowance: ALLOWANCE, canPrune });
  child = fork(CHILD, [root, folder, options], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await once(child, 'message');
}

async function report(): Promise<Report> {
  child.send({ command: 'report' });
  const [message] = (await once(child, 'message')) as [{ report: Report }];
  return message.report;
}

/** Walks everything with attributes; resolves with the most inodes that were known, looked at now and then. */
async function walk(): Promise<number> {
  let most = 0;
  const code = `
count = 0
for place, folders, files in os.walk(sys.argv[1]):
    for name in files:
        count += os.stat(place + '/' + name).st_size > 0
print(count)`;
  let isOver = false;
  const walking = python(code, root).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    most = Math.max(most, (await report()).inodes);
    await sleep(20);
  }
  expect(await walking).toBe(String(FOLDERS * FILES));
  return most;
}

beforeEach(() => {
  folder = makeTestFolder();
  root = join(folder, 'mnt');
  mkdirSync(root);
});
afterEach(async () => {
  if (child.connected) {
    const ended = once(child, 'exit');
    child.send({ command: 'unmount' });
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ['a kernel that can be asked to let go', true],
  ['a kernel that can only be told that names are invalid', false],
])('%s', (_, canPrune) => {
  beforeEach(() => start(canPrune));

  test.skipIf(lacks('invalidation'))(
    'it forgets what was walked, and no more than the allowance is known',
    { timeout: 60_000 },
    async () => {
      expect(await walk()).toBeLessThan(MOST_INODES);
      await sleep(200);
      const after = await report();
      expect(after.evicted).toBeGreaterThan(FOLDERS * FILES - MOST_INODES);
      expect(after.held).toBeLessThan(ALLOWANCE * 1.5);
    },
  );

  test('working folders, open, mapped and named files are not disturbed', { timeout: 60_000 }, async () => {
    const code = `
import select
root = sys.argv[1]
os.chdir(root + '/folder-0003')
opened = open(root + '/folder-0004/file-0001')
mapped = mmap.mmap(os.open(root + '/folder-0005/file-0002', os.O_RDONLY), 0, prot=mmap.PROT_READ)
named = os.open(root + '/folder-0006/file-0003', os.O_PATH)
held = os.open(root + '/folder-0007', os.O_RDONLY | os.O_DIRECTORY)
numbers = [os.stat(at).st_ino for at in ('.', root + '/folder-0004/file-0001', '/proc/self/fd/%d' % held)]
for place, folders, files in os.walk(root):
    for name in files:
        os.stat(place + '/' + name)
assert numbers == [os.stat(at).st_ino for at in ('.', root + '/folder-0004/file-0001', '/proc/self/fd/%d' % held)]
assert os.getcwd() == root + '/folder-0003', os.getcwd()
assert os.readlink('/proc/self/cwd') == os.getcwd()
assert open('file-0007').read() == '3 7\\n'
assert len(os.listdir('.')) == ${FILES}
assert opened.read() == '4 1\\n'
assert mapped[:] == b'5 2\\n'
for fd, path in ((opened.fileno(), 'folder-0004/file-0001'), (named, 'folder-0006/file-0003'), (held, 'folder-0007')):
    assert os.readlink('/proc/self/fd/%d' % fd) == root + '/' + path, os.readlink('/proc/self/fd/%d' % fd)
assert os.fstat(named).st_size == 4
assert len(os.listdir(held)) == ${FILES}
print('undisturbed')`;
    expect(await python(code, root)).toBe('undisturbed');
    await expect.poll(async () => (await report()).evicted, { timeout: 10_000 }).toBeGreaterThan(0);
  });

  test.skipIf(lacks('invalidation'))(
    'several readers read everything right while the kernel forgets',
    { timeout: 60_000 },
    async () => {
      const code = `
first, step = int(sys.argv[2]), int(sys.argv[3])
count = 0
for at in range(${FOLDERS}):
    for nth in range(first, ${FILES}, step):
        text = open('%s/folder-%04d/file-%04d' % (sys.argv[1], at, nth)).read()
        assert text == '%d %d\\n' % (at, nth % 10), text
        count += 1
print(count)`;
      const readers = [0, 1, 2].map((first) => python(code, root, String(first), '20'));
      const [, ...read] = await Promise.all([walk(), ...readers]);
      expect(read).toEqual(Array.from({ length: 3 }, () => String((FOLDERS * FILES) / 20)));
      // How much is known meanwhile depends on who gets the processor; what stays does not.
      await expect.poll(async () => (await report()).held, { timeout: 20_000 }).toBeLessThan(ALLOWANCE * 1.5);
      expect((await report()).evicted).toBeGreaterThan(0);
    },
  );

  test(
    'folders are forgotten although the kernel remembers names that they lack',
    { timeout: 60_000 },
    async () => {
      const code = `
for at in range(${FOLDERS}):
    assert not os.path.exists('%s/folder-%04d/.missing' % (sys.argv[1], at))
for place, folders, files in os.walk(sys.argv[1]):
    for name in files:
        os.stat(place + '/' + name)
print('walked')`;
      expect(await python(code, root)).toBe('walked');
      await walk();
      expect((await report()).inodes).toBeLessThan(MOST_INODES);
      expect(await python(code, root)).toBe('walked');
    },
  );
});
