// Files that are read while they arrive, files that a policy keeps from being written, and a lower layer that changes:
// on a real mount, in both ways of opening files.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdirSync, rmSync, statSync } from 'node:fs';
import { appendFile, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lacks, testBinding } from '../support/binding.ts';
import { expectBytes } from '../support/filesystem-assertions.ts';
import { codeOf } from '../support/mounted.ts';
import { python } from '../support/python.ts';
import { makeTestFolder } from '../support/test-folder.ts';

const CHILD = join(import.meta.dirname, '../support/arriving-child.mjs');
const MIB = 1024 * 1024;
const LARGE_BYTES = 16 * MIB;
const MIDDLE = 9 * MIB;
const START_MS = 20_000;
const READ = 'f = os.open(sys.argv[1], os.O_RDONLY)\nat, size = int(sys.argv[2]), int(sys.argv[3])\n';
const PREAD = `${READ}print(os.pread(f, size, at).hex())`;

interface Report {
  readonly asked: [number, number][];
  readonly views: number;
  readonly opens: number;
  readonly faults: string[];
  readonly heard: string[];
}

/** The bytes of the large file. */
function expected(start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(((start + at) * 2654435761) >>> 0, at);
  return bytes;
}

/** Modes to test: the other binding always asks for opens. */
const modes = testBinding === 'kernel' ? (['always', 'never'] as const) : (['always'] as const);

describe.each(modes)('with open_requests = %s', (openRequests) => {
  let folder: string;
  let root: string;
  let file: string;
  let child: ChildProcess;
  let lastId: number;

  beforeEach(async () => {
    folder = makeTestFolder();
    root = join(folder, 'mnt');
    file = join(root, 'large.bin');
    lastId = 0;
    mkdirSync(root);
    child = fork(CHILD, [root, folder, openRequests], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message', { signal: AbortSignal.timeout(START_MS) });
  });
  afterEach(async () => {
    if (child.connected) {
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(START_MS) });
      // Whoever still waits gets an answer.
      await ask('complete');
      child.send({ command: 'unmount' });
      await ended;
    }
    rmSync(folder, { recursive: true });
  });

  /** Has the child do something. */
  async function ask(command: string, ...args: unknown[]): Promise<unknown> {
    const id = ++lastId;
    child.send({ id, command, args });
    for (;;) {
      const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(START_MS) })) as [
        { id: number; result: unknown },
      ];
      if (message.id === id) return message.result;
    }
  }

  const report = async (): Promise<Report> => (await ask('report')) as Report;
  const pread = (at: number, size: number): Promise<string> => python(PREAD, file, `${at}`, `${size}`);
  const waitForReader = async (): Promise<void> => {
    await expect.poll(async () => (await report()).asked.length, { timeout: START_MS }).toBeGreaterThan(0);
  };

  test('the middle is read before the start has come, by several, and the size is right from the first', async () => {
    expect((await stat(file)).size).toBe(LARGE_BYTES);
    expect((await report()).opens).toBe(0);
    const readers = [pread(MIDDLE, 64), pread(MIDDLE + 4096, 64)];
    await waitForReader();
    await ask('arrive', MIDDLE - MIB, MIDDLE + 2 * MIB);
    expect(await readers[0]).toBe(expected(MIDDLE, 64).toString('hex'));
    expect(await readers[1]).toBe(expected(MIDDLE + 4096, 64).toString('hex'));
    const { asked, opens } = await report();
    expect(asked.every(([position]) => position >= MIDDLE - MIB)).toBe(true);
    expect(opens).toBe(1);
    const end = pread(LARGE_BYTES - 8, 64);
    await ask('complete');
    expect(await end).toBe(expected(LARGE_BYTES - 8, 8).toString('hex'));
    expectBytes(await readFile(file), expected(0, LARGE_BYTES));
  });

  test('a mapping shows what has come, and waits for the rest', async () => {
    const code = `${READ}m = mmap.mmap(f, 0, prot=mmap.PROT_READ)\nprint(m[at:at + size].hex())`;
    const mapped = python(code, file, `${MIDDLE}`, '64');
    await waitForReader();
    await ask('arrive', MIDDLE - 2 * MIB, MIDDLE + 4 * MIB);
    expect(await mapped).toBe(expected(MIDDLE, 64).toString('hex'));
  });

  test('what has not come is no hole, and a copy of it has no zeros', async () => {
    const seek = `${READ}print(os.lseek(f, at, os.SEEK_DATA), os.lseek(f, at, os.SEEK_HOLE))`;
    expect(await python(seek, file, `${MIDDLE}`, '0')).toBe(`${MIDDLE} ${LARGE_BYTES}`);
    const copied = python(
      `${READ}t = os.open(sys.argv[4], os.O_RDWR | os.O_CREAT)
left = size
while left > 0:
    left -= os.copy_file_range(f, t, left, at + size - left, size - left)
print(os.pread(t, 64, 0).hex())`,
      file,
      `${MIDDLE}`,
      `${MIB}`,
      join(root, 'copy'),
    );
    await waitForReader();
    await ask('arrive', MIDDLE - MIB, MIDDLE + 3 * MIB);
    expect(await copied).toBe(expected(MIDDLE, 64).toString('hex'));
  });

  test.skipIf(lacks('interrupt'))(
    'a reader that waits can be interrupted, and the next one reads',
    async () => {
      const reader = spawn('cat', [file], { stdio: 'ignore' });
      const ended = once(reader, 'exit', { signal: AbortSignal.timeout(START_MS) });
      await waitForReader();
      reader.kill('SIGINT');
      expect(await ended).toEqual([null, 'SIGINT']);
      await ask('complete');
      expectBytes(await readFile(file), expected(0, LARGE_BYTES));
    },
  );

  test('what fails is told by its errno, is logged once, and works when it is tried again', async () => {
    await ask('arrive', 0, 2 * MIB);
    expect(await pread(0, 8)).toBe(expected(0, 8).toString('hex'));
    for (const errno of ['EHOSTUNREACH', 'ENODATA', 'EACCES'] as const) {
      const failing = pread(MIDDLE, 64);
      await expect
        .poll(async () => (await report()).asked.some(([position]) => position >= 4 * MIB))
        .toBe(true);
      await ask('fail', errno, `the transfer ended with ${errno}`);
      expect(await failing).toBe(errno);
      await ask('mend');
    }
    const { faults } = await report();
    expect(faults.filter((fault) => fault.includes('ENODATA')).length).toBe(1);
    await ask('complete');
    expectBytes(await readFile(file), expected(0, LARGE_BYTES));
  });

  test('a change below does not wait for those who read, and holds nothing else up', async () => {
    const picture = join(root, 'picture.psd');
    expect((await stat(picture)).mode & 0o777).toBe(0o644);
    const reading = pread(MIDDLE, 64);
    await waitForReader();
    await ask('renew');
    await ask('lock', 'picture.psd');
    await expect.poll(() => statSync(picture).mode & 0o777, { timeout: START_MS }).toBe(0o444);
    await ask('complete');
    expect(await reading).toBe(expected(MIDDLE, 64).toString('hex'));
    expectBytes(await readFile(file), expected(0, LARGE_BYTES));
  });

  test('a file that arrives is copied up as a whole by a write', async () => {
    const handle = await open(file, 'r+');
    await handle.write('changed', MIDDLE);
    await handle.close();
    await ask('complete');
    const bytes = await readFile(file);
    expect(bytes.toString('latin1', MIDDLE, MIDDLE + 7)).toBe('changed');
    expectBytes(bytes.subarray(0, MIDDLE), expected(0, MIDDLE));
  });

  test('a file that is locked is shown read-only at once, and nobody writes it, root neither', async () => {
    const picture = join(root, 'picture.psd');
    expect((await stat(picture)).mode & 0o777).toBe(0o644);
    await ask('lock', 'picture.psd');
    await expect.poll(() => statSync(picture).mode & 0o777).toBe(0o444);
    expect(await codeOf(() => appendFile(picture, 'x'))).toBe('EACCES');
    expect(await python('os.truncate(sys.argv[1], 0)\nprint("cut")', picture)).toBe('EACCES');
    expect(await readFile(picture, 'utf8')).toBe('pointer\n');
    await ask('unlock', 'picture.psd');
    await expect.poll(() => statSync(picture).mode & 0o777).toBe(0o644);
    await appendFile(picture, 'x');
    expect(await readFile(picture, 'utf8')).toBe('pointer\nx');
  });

  test('attributes are made up, and cannot be set', async () => {
    const picture = join(root, 'picture.psd');
    const code = `print(os.listxattr(sys.argv[1]), os.getxattr(sys.argv[1], "user.scorpio.lfs.oid").decode())`;
    expect(await python(code, picture)).toBe("['user.scorpio.lfs.oid'] abcdef");
    const set = 'os.setxattr(sys.argv[1], "user.scorpio.lfs.oid", b"x")\nprint("set")';
    expect(await python(set, picture)).toBe('EPERM');
    expect(
      await python(code.replace('os.getxattr', '"" and os.getxattr'), join(root, 'small.txt')),
    ).toContain('[]');
  });

  test('attribute files are heard of', async () => {
    await appendFile(join(root, '.gitattributes'), '*.bin filter=lfs\n');
    expect((await report()).heard).toContain('/.gitattributes');
  });

  test.skipIf(lacks('invalidation'))(
    'a file whose content below changes shows the new one, also where it is open',
    async () => {
      const picture = join(root, 'picture.psd');
      const handle = await open(picture, constants.O_RDONLY);
      expect((await handle.readFile()).toString()).toBe('pointer\n');
      await ask('smudge');
      await expect.poll(() => statSync(picture).size).toBe(44);
      const bytes = Buffer.alloc(100);
      const { bytesRead } = await handle.read(bytes, 0, 100, 0);
      expect(bytes.toString('latin1', 0, bytesRead)).toBe('the picture itself, larger than its pointer\n');
      await handle.close();
    },
  );
});
