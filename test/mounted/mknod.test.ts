// mknod(2): fifos, sockets, devices, on a real mount.
import { lstatSync, unlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isRoot, useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

test('a fifo carries bytes between processes', async () => {
  const root = await mounts.fresh();
  const code = `
path = sys.argv[1] + '/docs/fifo'
os.mkfifo(path, 0o640)
child = os.fork()
if child == 0:
    with open(path, 'wb') as file:
        file.write(b'through the fifo')
    os._exit(0)
with open(path, 'rb') as file:
    print(file.read().decode())
os.waitpid(child, 0)`;
  expect(await python(code, root)).toBe('through the fifo');
  expect(lstatSync(`${root}/docs/fifo`).isFIFO()).toBe(true);
  await mounts.current[0]?.remount();
  expect(lstatSync(`${root}/docs/fifo`).isFIFO()).toBe(true);
  unlinkSync(`${root}/docs/fifo`);
});

test('a socket connects processes', async () => {
  const root = await mounts.fresh();
  const code = `
os.chdir(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind('socket')
server.listen(1)
child = os.fork()
if child == 0:
    client = socket.socket(socket.AF_UNIX)
    client.connect('socket')
    client.sendall(b'through the socket')
    os._exit(0)
print(server.accept()[0].recv(100).decode())
os.waitpid(child, 0)`;
  expect(await python(code, root)).toBe('through the socket');
  expect(lstatSync(`${root}/socket`).isSocket()).toBe(true);
});

test('a regular file is made by mknod, and an existing name is EEXIST', async () => {
  const root = await mounts.fresh();
  expect(await python("os.mknod(sys.argv[1] + '/new', 0o640 | stat.S_IFREG)", root)).toBe('');
  expect(lstatSync(`${root}/new`).isFile()).toBe(true);
  expect(await python("os.mkfifo(sys.argv[1] + '/README.md')", root)).toBe('EEXIST');
});

test.runIf(isRoot)(
  'a character device keeps its numbers; the one that means a whiteout is no file that vanishes',
  async () => {
    const root = await mounts.fresh();
    expect(
      await python("os.mknod(sys.argv[1] + '/null', 0o600 | stat.S_IFCHR, os.makedev(1, 3))", root),
    ).toBe('');
    const stat = lstatSync(`${root}/null`);
    expect(stat.isCharacterDevice()).toBe(true);
    expect(stat.rdev).toBe(0x103);
    const code = "os.mknod(sys.argv[1] + '/zero', 0o600 | stat.S_IFCHR, 0)\nos.lstat(sys.argv[1] + '/zero')";
    const outcome = await python(code, root);
    expect(['', 'EPERM', 'EINVAL', 'EOPNOTSUPP']).toContain(outcome);
  },
);
