// fsync(2), fdatasync(2), sync_file_range and syncfs on a real mount.
import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

test('files, unchanged lower files and folders can be synced', async () => {
  const root = await mounts.fresh();
  mkdirSync(`${root}/new`);
  const fd = openSync(`${root}/new/file`, 'w');
  writeSync(fd, 'durable');
  fdatasyncSync(fd);
  fsyncSync(fd);
  closeSync(fd);
  for (const name of ['README.md', 'docs', 'new', '']) {
    const other = openSync(`${root}/${name}`, 'r');
    fsyncSync(other);
    fdatasyncSync(other);
    closeSync(other);
  }
  expect(readFileSync(`${root}/new/file`, 'utf8')).toBe('durable');
});

test('syncfs and O_SYNC writes return', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1] + '/README.md', os.O_RDWR | os.O_SYNC)
os.write(fd, b'SYNC')
call('syncfs', fd)
print(os.pread(fd, 4, 0).decode())`;
  expect(await python(code, root)).toBe('SYNC');
});

test('after a new mount, what was synced is there', async () => {
  const root = await mounts.fresh();
  const fd = openSync(`${root}/docs/deep/note.txt`, 'a');
  writeSync(fd, 'synced');
  fsyncSync(fd);
  closeSync(fd);
  await mounts.current[0]?.remount();
  expect(readFileSync(`${root}/docs/deep/note.txt`, 'utf8')).toBe('note\nsynced');
});
