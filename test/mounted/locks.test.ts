// flock(2) and POSIX record locks between processes, on unmodified lower files of a real mount.
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();
const run = promisify(execFile);

test('flock of a lower file excludes another process, and is free again afterwards', async () => {
  const root = await mounts.fresh();
  const file = `${root}/README.md`;
  const code = `
import subprocess
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
print(subprocess.run(['flock', '-n', '-E', '7', sys.argv[1], 'true']).returncode)
fcntl.flock(fd, fcntl.LOCK_UN)
print(subprocess.run(['flock', '-n', '-E', '7', sys.argv[1], 'true']).returncode)`;
  expect((await python(code, file)).split('\n')).toEqual(['7', '0']);
  expect(readFileSync(file, 'utf8')).toBe('hello, lower\n');
});

test('two shared flocks go together', async () => {
  const root = await mounts.fresh();
  const file = `${root}/docs/a.md`;
  await run('flock', ['-s', '-n', file, 'flock', '-s', '-n', file, 'true'], { timeout: 10_000 });
  await expect(run('flock', ['-s', '-n', file, 'flock', '-x', '-n', file, 'true'])).rejects.toThrow();
});

test('flock of a folder works', async () => {
  const root = await mounts.fresh();
  await run('flock', ['-n', `${root}/docs`, 'true'], { timeout: 10_000 });
});

test('a POSIX lock excludes another process in its range only', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)
child = os.fork()
if child == 0:
    other = os.open(sys.argv[1], os.O_RDWR)
    result = 0
    try:
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 4)
        result += 1
    except OSError as error:
        result += 2 if error.errno in (errno.EAGAIN, errno.EACCES) else 64
    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)
    os._exit(result)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))`;
  expect(await python(code, `${root}/README.md`)).toBe('2');
});

test('who waits for a POSIX lock gets it when it is released', async () => {
  const root = await mounts.fresh();
  const code = `
import time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX)
child = os.fork()
if child == 0:
    other = os.open(sys.argv[1], os.O_RDWR)
    fcntl.lockf(other, fcntl.LOCK_EX)
    os.write(other, b'child')
    os._exit(0)
time.sleep(0.3)
print(os.pread(fd, 5, 0).decode())
fcntl.lockf(fd, fcntl.LOCK_UN)
os.waitpid(child, 0)
print(os.pread(fd, 5, 0).decode())`;
  expect((await python(code, `${root}/README.md`)).split('\n')).toEqual(['hello', 'child']);
});

test('a read lock on a file opened for reading does not copy it', async () => {
  const root = await mounts.fresh();
  const code = `
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.lockf(fd, fcntl.LOCK_SH)
fcntl.lockf(fd, fcntl.LOCK_UN)
print('done')`;
  expect(await python(code, `${root}/big.bin`)).toBe('done');
  expect(() => statSync(`${mounts.current[0]?.upperDir}/big.bin`)).toThrow(/ENOENT/);
});

test('a lock stays while the file is copied up and written', async () => {
  const root = await mounts.fresh();
  const code = `
import subprocess
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
with open(sys.argv[1], 'a') as file:
    file.write('more')
print(subprocess.run(['flock', '-n', '-E', '7', sys.argv[1], 'true']).returncode)`;
  expect(await python(code, `${root}/README.md`)).toBe('7');
});
