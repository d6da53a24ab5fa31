// Extended attributes on a real mount.
import { expect, test } from 'vitest';
import { isRoot, useMounts } from '../support/mounted.ts';
import { python } from '../support/python.ts';

const mounts = useMounts();

test('are set, read, listed and removed on lower files and folders', async () => {
  const root = await mounts.fresh();
  const code = `
for name in ('README.md', 'docs'):
    path = sys.argv[1] + '/' + name
    print(os.listxattr(path))
    os.setxattr(path, 'user.one', b'first')
    os.setxattr(path, 'user.two', b'')
    print(sorted(os.listxattr(path)), os.getxattr(path, 'user.one'), os.getxattr(path, 'user.two'))
    os.removexattr(path, 'user.two')
    print(os.listxattr(path))`;
  const lines = ['[]', "['user.one', 'user.two'] b'first' b''", "['user.one']"];
  expect((await python(code, root)).split('\n')).toEqual([...lines, ...lines]);
  await mounts.current[0]?.remount();
  expect(await python("print(os.getxattr(sys.argv[1], 'user.one'))", `${root}/docs`)).toBe("b'first'");
});

test('errnos: ENODATA, EEXIST, ENODATA with XATTR_REPLACE, ERANGE, EOPNOTSUPP', async () => {
  const root = await mounts.fresh();
  const file = `${root}/README.md`;
  expect(await python("os.getxattr(sys.argv[1], 'user.none')", file)).toBe('ENODATA');
  expect(await python("os.removexattr(sys.argv[1], 'user.none')", file)).toBe('ENODATA');
  expect(await python("os.setxattr(sys.argv[1], 'user.a', b'1', os.XATTR_REPLACE)", file)).toBe('ENODATA');
  expect(await python("os.setxattr(sys.argv[1], 'user.a', b'12345', os.XATTR_CREATE)", file)).toBe('');
  expect(await python("os.setxattr(sys.argv[1], 'user.a', b'1', os.XATTR_CREATE)", file)).toBe('EEXIST');
  const small = `
buffer = ctypes.create_string_buffer(2)
print(call('getxattr', sys.argv[1].encode(), b'user.a', None, 0))
call('getxattr', sys.argv[1].encode(), b'user.a', buffer, 2)`;
  expect((await python(small, file)).split('\n')).toEqual(['5', 'ERANGE']);
  const smallList = `
buffer = ctypes.create_string_buffer(2)
print(call('listxattr', sys.argv[1].encode(), None, 0))
call('listxattr', sys.argv[1].encode(), buffer, 2)`;
  expect((await python(smallList, file)).split('\n')).toEqual(['7', 'ERANGE']);
  expect(await python("os.setxattr(sys.argv[1], 'unknown.a', b'1')", file)).toMatch(/^(EOPNOTSUPP|ENOTSUP)$/);
});

test('large values come back', async () => {
  const root = await mounts.fresh();
  const code = `
os.setxattr(sys.argv[1], 'user.large', b'x' * 3500)
print(len(os.getxattr(sys.argv[1], 'user.large')))`;
  expect(await python(code, `${root}/README.md`)).toBe('3500');
});

test("the overlay's own attributes are not shown, and cannot be set from inside", async () => {
  const root = await mounts.fresh();
  const name = isRoot ? 'trusted.overlay.opaque' : 'user.overlay.opaque';
  const code = `
os.mkdir(sys.argv[1] + '/docs/new')
os.rename(sys.argv[1] + '/src', sys.argv[1] + '/moved')
os.chmod(sys.argv[1] + '/big.bin', 0o600)
print(os.listxattr(sys.argv[1] + '/docs'), os.listxattr(sys.argv[1] + '/moved'), os.listxattr(sys.argv[1] + '/big.bin'))
try:
    os.setxattr(sys.argv[1] + '/docs', '${name}', b'y')
except OSError:
    pass
print(sorted(os.listdir(sys.argv[1] + '/docs')))`;
  expect((await python(code, root)).split('\n')).toEqual([
    '[] [] []',
    "['a.md', 'b.md', 'deep', 'link', 'new']",
  ]);
  await mounts.current[0]?.remount();
  expect(await python('print(len(os.listdir(sys.argv[1])))', `${root}/docs`)).toBe('5');
});

test.runIf(isRoot)('file capabilities are kept, and lost by a write, on new and on lower files', async () => {
  const root = await mounts.fresh();
  // Revision 2 of the format: cap_net_raw, permitted and effective.
  const code = `
value = bytes.fromhex('0100000200200000000000000000000000000000')
os.close(os.open(sys.argv[1] + '/new', os.O_CREAT | os.O_WRONLY))
for name in ('new', 'README.md'):
    path = sys.argv[1] + '/' + name
    os.setxattr(path, 'security.capability', value)
    print(os.getxattr(path, 'security.capability') == value)
    with open(path, 'ab') as file:
        file.write(b'x')
    print('security.capability' in os.listxattr(path))`;
  expect((await python(code, root)).split('\n')).toEqual(['True', 'False', 'True', 'False']);
});
