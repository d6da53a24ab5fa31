// lseek(2) with SEEK_DATA and SEEK_HOLE on a real mount.
import { expect, test } from 'vitest';
import { useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();
const SEEK = `
fd = os.open(sys.argv[1], os.O_RDONLY)
for argument in sys.argv[2:]:
    whence, offset = argument.split(':')
    try:
        print(os.lseek(fd, int(offset), getattr(os, 'SEEK_' + whence)))
    except OSError as error:
        print(errno.errorcode[error.errno])`;
const seek = async (path: string, ...steps: string[]): Promise<string[]> =>
  (await python(SEEK, path, ...steps)).split('\n');

test('finds the data of a lower file and the hole at its end', async () => {
  const root = await mounts.fresh();
  expect(
    await seek(`${root}/README.md`, 'DATA:0', 'HOLE:0', 'DATA:13', 'HOLE:14', 'END:0', 'SET:5', 'CUR:2'),
  ).toEqual(['0', '13', 'ENXIO', 'ENXIO', '13', '5', '7']);
});

test('finds data behind a hole', async () => {
  const root = await mounts.fresh();
  const make = `
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(fd, b'data', 1 << 20)
os.fsync(fd)`;
  await python(make, `${root}/sparse`);
  const [data, hole] = await seek(`${root}/sparse`, 'DATA:0', `HOLE:${2 ** 20}`);
  expect(Number(data)).toBeLessThanOrEqual(2 ** 20);
  expect(Number(hole)).toBe(2 ** 20 + 4);
});
