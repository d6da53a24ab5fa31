// Files that are open but have no name any more, on a real mount.
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  fchmodSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { lacks } from '../support/binding.ts';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

function readAll(fd: number): string {
  const buffer = Buffer.alloc(1000);
  return buffer.toString('utf8', 0, readSync(fd, buffer, 0, 1000, 0));
}

test('a lower file is read after its removal', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/README.md`, 'r');
  unlinkSync(`${root}/README.md`);
  expect(readAll(fd)).toBe('hello, lower\n');
  expect(fstatSync(fd)).toMatchObject({ nlink: 0, size: 13 });
  closeSync(fd);
});

test('a file is read, written, chmodded and grows after its removal, while another takes its name', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/README.md`, 'r+');
  unlinkSync(`${root}/README.md`);
  writeFileSync(`${root}/README.md`, 'another');
  writeSync(fd, 'HELLO', 0);
  writeSync(fd, 'end', 20);
  fchmodSync(fd, 0o600);
  expect(readAll(fd)).toBe('HELLO, lower\n\0\0\0\0\0\0\0end');
  expect(fstatSync(fd)).toMatchObject({ nlink: 0, size: 23 });
  expect(fstatSync(fd).mode & 0o777).toBe(0o600);
  closeSync(fd);
  const other = openSync(`${root}/README.md`, 'r');
  expect(readAll(other)).toBe('another');
  closeSync(other);
});

test('a file that a rename replaced is read through the old handle', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/docs/b.md`, 'r');
  renameSync(`${root}/docs/a.md`, `${root}/docs/b.md`);
  expect(readAll(fd)).toBe('bb\n');
  expect(fstatSync(fd).nlink).toBe(0);
  closeSync(fd);
});

test.skipIf(lacks('removed-folder'))(
  'a removed folder can still be listed by who has it open, and is empty',
  async () => {
    const root = await mounts.fresh();
    mkdirSync(`${root}/folder`);
    const fd = openSync(`${root}/folder`, 'r');
    rmdirSync(`${root}/folder`);
    expect(fstatSync(fd).isDirectory()).toBe(true);
    expect(fstatSync(fd).nlink).toBe(0);
    closeSync(fd);
  },
);

test('an unlinked file that is open works on when its folder is renamed', async () => {
  const root = await mounts.fresh();
  mkdirSync(`${root}/folder`);
  const fd = openSync(`${root}/folder/file`, 'w+');
  writeSync(fd, 'content');
  unlinkSync(`${root}/folder/file`);
  renameSync(`${root}/folder`, `${root}/renamed`);
  expect(fstatSync(fd)).toMatchObject({ size: 7, nlink: 0 });
  fchmodSync(fd, 0o600);
  expect(readAll(fd)).toBe('content');
  closeSync(fd);
  rmdirSync(`${root}/renamed`);
});

test.skipIf(lacks('removed-folder'))(
  'nothing hidden appears beside an unlinked open file, and its folder can be removed',
  async () => {
    const root = await mounts.fresh();
    mkdirSync(`${root}/folder`);
    const fd = openSync(`${root}/folder/file`, 'w+');
    writeSync(fd, 'content');
    unlinkSync(`${root}/folder/file`);
    expect(readdirSync(`${root}/folder`)).toEqual([]);
    rmdirSync(`${root}/folder`);
    expect(readAll(fd)).toBe('content');
    closeSync(fd);
    expect(existsSync(`${root}/folder`)).toBe(false);
  },
);

test.skipIf(lacks('tmpfile'))('a temporary file without a name works, and may get one', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1] + '/docs', os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b'content')
print(os.pread(fd, 100, 0).decode(), os.listdir(sys.argv[1] + '/docs'))
call('linkat', -100, b'/proc/self/fd/%d' % fd, -100, (sys.argv[1] + '/docs/named').encode(), 0x400)
print(open(sys.argv[1] + '/docs/named').read(), os.stat(sys.argv[1] + '/docs/named').st_nlink)`;
  expect(await python(code, root)).toMatch(/^content (?!.*named).*\ncontent 1$/);
  await mounts.current[0]?.remount();
  expect(readFileSync(`${root}/docs/named`, 'utf8')).toBe('content');
});
