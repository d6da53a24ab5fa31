// Large files that the kernel reads and writes by itself, and everything that may happen to them meanwhile.
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { expectBytes } from '../support/filesystem-assertions.ts';
import { isRoot, useMounts } from '../support/mounted.ts';
import { randomBytes } from '../support/random.ts';
import { seedFile, type SeedTree } from '../support/seed-tree.ts';

const LARGE_BYTES = 3 * 1024 * 1024;
const SMALL_FILES = 1200;
const lower = randomBytes(LARGE_BYTES, 11);
const seed: SeedTree = {
  'large.bin': seedFile(lower),
  'dir/other.bin': seedFile(randomBytes(LARGE_BYTES, 12)),
  'dir/bash': seedFile(readFileSync('/bin/bash'), { executable: true }),
  'small.txt': seedFile('small\n'),
  ...Object.fromEntries(
    Array.from({ length: SMALL_FILES }, (_, index) => [
      `many/${Math.floor(index / 100)}/${index}.txt`,
      seedFile(`file ${index}\n`),
    ]),
  ),
};

type KernelState = { open: boolean; passthrough: boolean };

/** What the daemon says about the mount. */
async function kernelState(url: string, job: string): Promise<KernelState> {
  const answer = await fetch(`${url}/antares/mounts/by-job/${job}`, { signal: AbortSignal.timeout(10_000) });
  return ((await answer.json()) as { kernel: KernelState }).kernel;
}

function readAll(fd: number): Buffer {
  const { size } = fstatSync(fd);
  const bytes = Buffer.alloc(size + 10);
  let done = 0;
  for (;;) {
    const count = readSync(fd, bytes, done, bytes.length - done, done);
    if (count === 0) return bytes.subarray(0, done);
    done += count;
  }
}

describe.runIf(isRoot && !lacks('attribute-cache'))('with passthrough', () => {
  const mounts = useMounts(seed, { open_requests: 'always' });

  test('reads a large file of the repository, and says that it can', async ({ skip }) => {
    const root = await mounts.fresh();
    const { passthrough } = await kernelState(mounts.fixture.daemonUrl, mounts.current[0]?.job ?? '');
    if (!passthrough) skip('this kernel has no passthrough');
    expectBytes(readFileSync(`${root}/large.bin`), lower);
    expect(execFileSync(`${root}/dir/bash`, ['-c', 'echo it runs'], { encoding: 'utf8' })).toBe('it runs\n');
  });

  test.each<[string, (file: string) => void, (before: Buffer) => Buffer]>([
    [
      'written to',
      (file) => {
        const fd = openSync(file, 'r+');
        writeSync(fd, 'new', 5);
        closeSync(fd);
      },
      (before) => Buffer.concat([before.subarray(0, 5), Buffer.from('new'), before.subarray(8)]),
    ],
    ['replaced in place', (file) => writeFileSync(file, 'short'), () => Buffer.from('short')],
    [
      'appended to',
      (file) => appendFileSync(file, 'more'),
      (before) => Buffer.concat([before, Buffer.from('more')]),
    ],
    ['cut', (file) => truncateSync(file, 100), (before) => before.subarray(0, 100)],
    ['emptied', (file) => truncateSync(file, 0), () => Buffer.alloc(0)],
    [
      'made longer',
      (file) => truncateSync(file, LARGE_BYTES + 2),
      (before) => Buffer.concat([before, Buffer.alloc(2)]),
    ],
  ])('a file that somebody reads can be %s', async (_, change, expected) => {
    const root = await mounts.fresh();
    const file = `${root}/large.bin`;
    const reader = openSync(file, 'r');
    try {
      readSync(reader, Buffer.alloc(4096), 0, 4096, 0);
      const before = statSync(file);
      change(file);
      expectBytes(readFileSync(file), expected(lower));
      expect(statSync(file).ino).toBe(before.ino);
      // As with the kernel's overlayfs: who opened it for reading before goes on reading what was there.
      const start = Buffer.alloc(4096);
      expect(readSync(reader, start, 0, 4096, 0)).toBe(4096);
      expectBytes(start, lower.subarray(0, 4096));
      fchmodSync(reader, 0o640);
      await expect.poll(() => statSync(file).mode & 0o777).toBe(0o640);
    } finally {
      closeSync(reader);
    }
    expectBytes(readFileSync(file), expected(lower));
    appendFileSync(file, '!');
    expect(readFileSync(file).at(-1)).toBe('!'.charCodeAt(0));
    await mounts.current[0]?.remount();
    expectBytes(readFileSync(file), Buffer.concat([expected(lower), Buffer.from('!')]));
  });

  test('a file that somebody reads can be renamed, linked, removed and replaced', async () => {
    const root = await mounts.fresh();
    const readers = [openSync(`${root}/large.bin`, 'r'), openSync(`${root}/dir/other.bin`, 'r')];
    linkSync(`${root}/large.bin`, `${root}/linked`);
    appendFileSync(`${root}/linked`, 'end');
    for (const name of ['large.bin', 'linked'])
      expect(statSync(`${root}/${name}`).size).toBe(LARGE_BYTES + 3);
    expect(statSync(`${root}/large.bin`).ino).toBe(statSync(`${root}/linked`).ino);
    renameSync(`${root}/dir/other.bin`, `${root}/dir/moved.bin`);
    writeFileSync(`${root}/dir/moved.bin`, 'moved');
    expect(readFileSync(`${root}/dir/moved.bin`, 'utf8')).toBe('moved');
    unlinkSync(`${root}/dir/moved.bin`);
    expect(existsSync(`${root}/dir/moved.bin`)).toBe(false);
    for (const reader of readers) {
      expect(readSync(reader, Buffer.alloc(10), 0, 10, LARGE_BYTES - 10)).toBe(10);
      closeSync(reader);
    }
  });

  test('a file that was parted by way of an open descriptor is written as one, under all its names', async () => {
    const root = await mounts.fresh();
    const file = `${root}/large.bin`;
    const reader = openSync(file, 'r');
    try {
      readSync(reader, Buffer.alloc(4096), 0, 4096, 0);
      expect(() => openSync(`/proc/self/fd/${reader}`, 'r+')).toThrow('-116');
    } finally {
      closeSync(reader);
    }
    const write = (path: string, text: string, position: number): void => {
      const fd = openSync(path, 'r+');
      writeSync(fd, text, position);
      closeSync(fd);
    };
    write(file, 'first', 0);
    linkSync(file, `${root}/linked`);
    write(`${root}/linked`, 'second', 5);
    write(file, 'third', 11);
    const expected = Buffer.concat([Buffer.from('firstsecondthird'), lower.subarray(16)]);
    for (const path of [file, `${root}/linked`]) expectBytes(readFileSync(path), expected);
    await mounts.current[0]?.remount();
    for (const path of [file, `${root}/linked`]) expectBytes(readFileSync(path), expected);
  });

  test('readers of a file that a writer has open, and writers after one another, all agree', async () => {
    const root = await mounts.fresh();
    const file = `${root}/large.bin`;
    const writer = openSync(file, 'r+');
    const reader = openSync(file, 'r');
    expectBytes(readAll(reader), lower);
    writeSync(writer, 'changed', 0);
    expect(readAll(reader).subarray(0, 7).toString()).toBe('changed');
    const second = openSync(file, 'r+');
    writeSync(second, 'again', 0);
    ftruncateSync(second, 7);
    expect(readAll(reader).toString()).toBe('agained');
    for (const fd of [writer, reader, second]) closeSync(fd);
    expect(readFileSync(file, 'utf8')).toBe('agained');
  });

  test('a large new file is appended to by several, mapped, cut, and read while it has no name', async () => {
    const root = await mounts.fresh();
    mkdirSync(`${root}/new`);
    const file = `${root}/new/file`;
    writeFileSync(file, lower);
    const writers = [openSync(file, 'a'), openSync(file, 'a'), openSync(file, 'a')];
    for (let round = 0; round < 30; round++)
      for (const [nth, fd] of writers.entries()) writeSync(fd, `${nth}`);
    expect(statSync(file).size).toBe(LARGE_BYTES + 90);
    expect(readFileSync(file, 'latin1').slice(LARGE_BYTES)).toBe('012'.repeat(30));
    for (const fd of writers) closeSync(fd);
    const script =
      'import mmap,os,sys\nf=os.open(sys.argv[1],os.O_RDWR)\nm=mmap.mmap(f,0)\nm[4096:4101]=b"mmap!"\nm.flush()\n' +
      'print(os.pread(f,5,4096).decode(),open(sys.argv[1],"rb").read()[4096:4101].decode())';
    expect(execFileSync('python3', ['-c', script, file], { encoding: 'utf8' })).toBe('mmap! mmap!\n');
    expect(readFileSync(file).subarray(4096, 4101).toString()).toBe('mmap!');
    const fd = openSync(file, 'r+');
    unlinkSync(file);
    fsyncSync(fd);
    ftruncateSync(fd, 2 * LARGE_BYTES);
    expect(writeSync(fd, 'tail', 2 * LARGE_BYTES - 4)).toBe(4);
    expect(readAll(fd).subarray(-4).toString()).toBe('tail');
    expect(fstatSync(fd)).toMatchObject({ nlink: 0, size: 2 * LARGE_BYTES });
    closeSync(fd);
  });

  test('writing takes set-id bits away', async () => {
    const root = await mounts.fresh();
    const file = `${root}/set-id`;
    writeFileSync(file, lower);
    chmodSync(file, 0o6777);
    // Other users cannot reach the folder by its path.
    const script = 'import os\nos.setgid(1234)\nos.setuid(1234)\nopen("set-id","r+b").write(b"x")';
    execFileSync('python3', ['-c', script], { cwd: root });
    expect(statSync(file).mode & 0o7777).toBe(0o777);
  });
});

describe.runIf(isRoot)('where both ways are possible', () => {
  const mounts = useMounts(seed, { open_requests: 'auto' });

  test('a mount that is used for many small files does without being asked, for good', async ({ skip }) => {
    const root = await mounts.fresh();
    const job = mounts.current[0]?.job ?? '';
    const state = (): Promise<KernelState> => kernelState(mounts.fixture.daemonUrl, job);
    if (!(await state()).passthrough) skip('this kernel has no passthrough');
    const before = openSync(`${root}/small.txt`, 'r+');
    const large = openSync(`${root}/large.bin`, 'r');
    const readMany = (): void => {
      for (let index = 0; index < SMALL_FILES; index++) {
        const text = readFileSync(`${root}/many/${Math.floor(index / 100)}/${index}.txt`, 'utf8');
        expect(text).toBe(`file ${index}\n`);
      }
    };
    readMany();
    // Not while the kernel has a file in its own hands.
    expect(await state()).toEqual({ open: false, passthrough: true });
    expectBytes(readAll(large), lower);
    closeSync(large);
    // The kernel releases a file some time after it was closed.
    await expect
      .poll(async () => {
        readFileSync(`${root}/dir/bash`).subarray(0, 1);
        readMany();
        return state();
      })
      .toEqual({ open: true, passthrough: false });
    writeSync(before, 'still', 0);
    closeSync(before);
    expect(readFileSync(`${root}/small.txt`, 'utf8')).toBe('still\n');
    expectBytes(readFileSync(`${root}/large.bin`), lower);
    writeFileSync(`${root}/small.txt`, 'new');
    appendFileSync(`${root}/large.bin`, 'more');
    expectBytes(readFileSync(`${root}/large.bin`), Buffer.concat([lower, Buffer.from('more')]));
  });
});
