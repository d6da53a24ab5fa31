# chmod, chown, utimensat, truncate, extended attributes, statx.
import ctypes, os, struct
from harness import *

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def utimensat(path, atime, mtime, flags=0):
    times = (ctypes.c_long * 4)(*atime, *mtime) if atime is not None else None
    call('utimensat', AT_FDCWD, encoded(path) if path is not None else None, times, flags)


def times(path):
    found = os.lstat(path)
    return [found.st_atime_ns, found.st_mtime_ns]


@scenario
def chmod_all(t):
    for path in ('f', 'd', 'l', 'z', '.'):
        for mode in (0, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o100644, 0o644):
            t.do('chmod %s %o' % (path, mode), os.chmod, path, mode)
            t.note('mode', look(path))
        os.chmod(path, 0o755)
    t.effects('effects', ('f', '.'), os.chmod, 'f', 0o600)
    t.effects('same mode', ('f', '.'), os.chmod, 'f', 0o600)
    for path in ('missing', 'broken', 'loop', 'f/x', ''):
        t.do('chmod ' + path, os.chmod, path, 0o600)
    t.do('of a symlink', lambda: call('fchmodat', AT_FDCWD, b'l', 0o600, 0x100))
    t.do('of a symlink through /proc', lambda: with_fd('l', O_PATH | os.O_NOFOLLOW, lambda fd: os.chmod('/proc/self/fd/%d' % fd, 0o600)))
    t.do('through O_PATH', lambda: with_fd('f', O_PATH, lambda fd: os.fchmod(fd, 0o600)))
    t.do('through read-only', lambda: with_fd('f', os.O_RDONLY, lambda fd: os.fchmod(fd, 0o640)))
    t.note('left', tree('.'))


@scenario
def utimes_values(t):
    for seconds in (0, 1, -1, -1_000_000_000, -(1 << 31), (1 << 31) - 1, 1 << 31, (1 << 32) + 5, 15_032_385_535, 15_032_385_536, -(1 << 31) - 1, 1 << 40):
        for nanoseconds in (0, 1, 999_999_999):
            t.do('utimensat %d.%09d' % (seconds, nanoseconds), utimensat, 'f', (seconds, nanoseconds), (seconds, nanoseconds))
            t.note('times', times('f'))
    for path in ('d', 'l', 'z', 'broken', '.'):
        t.do('set ' + path, utimensat, path, (5, 6), (7, 8), 0x100)
        t.note('times', times(path))
    t.do('following', utimensat, 'l', (1, 2), (3, 4))
    # That a symlink was read may be dated.
    t.note('times', [times('l')[1], times('f')])
    for bad in (1_000_000_000, -1, 1 << 40):
        t.do('bad nanoseconds', utimensat, 'f', (0, bad), (0, 0))
        t.do('bad nanoseconds', utimensat, 'f', (0, 0), (0, bad))
    t.do('bad flags', utimensat, 'f', (0, 0), (0, 0), 1)
    for path in ('missing', 'broken', 'loop', 'f/x', ''):
        t.do('set ' + path, utimensat, path, (5, 6), (7, 8))


@scenario
def utimes_special(t):
    utimensat('f', (100, 1), (200, 2))
    t.effects('omit both', ('f',), utimensat, 'f', (0, UTIME_OMIT), (0, UTIME_OMIT))
    t.effects('omit atime', ('f',), utimensat, 'f', (0, UTIME_OMIT), (300, 3))
    t.note('times', times('f'))
    t.effects('omit mtime', ('f',), utimensat, 'f', (400, 4), (0, UTIME_OMIT))
    t.note('times', times('f'))
    t.effects('now and omit', ('f',), utimensat, 'f', (0, UTIME_NOW), (0, UTIME_OMIT))
    t.note('mtime', times('f')[1])
    t.effects('omit and now', ('f',), utimensat, 'f', (0, UTIME_OMIT), (0, UTIME_NOW))
    t.effects('null', ('f', '.'), utimensat, 'f', None, None)
    t.note('both equal', len(set(times('f'))))
    t.note('now', abs(times('f')[1] / 1e9 - time.time()) < 5)
    t.effects('folder', ('d', '.'), utimensat, 'd', (1, 1), (1, 1))
    t.effects('symlink', ('l', 'f', '.'), utimensat, 'l', (1, 1), (1, 1), 0x100)
    t.do('descriptor', lambda: with_fd('f', os.O_RDONLY, lambda fd: os.utime(fd, ns=(11, 12))))
    t.note('times', times('f'))


@scenario
def times_stay(t):
    os.utime('f', ns=(1_000_000_001, 2_000_000_002))
    os.utime('d', ns=(3_000_000_003, 4_000_000_004))
    os.chmod('f', 0o600)
    os.rename('f', 'g')
    t.note('after chmod and rename', times('g'))
    os.link('g', 'f')
    t.note('after link', times('g'))
    with_fd('g', os.O_RDWR, lambda fd: None)
    t.note('after open for writing', times('g'))
    os.truncate('g', 13)
    t.note('after truncate to the same size', times('g')[1] == 2_000_000_002)
    t.note('folder', times('d'))
    os.rename('d', 'd2')
    t.note('folder after rename', times('d2'))
    os.chmod('d2/a', 0o600)
    t.note('folder after chmod below', times('d2'))
    with_fd('d2/b/c', os.O_WRONLY, lambda fd: os.write(fd, b'1'))
    t.note('folder after write below', times('d2'))


@scenario
def truncate_all(t):
    for size in (0, 1, 5, 13, 20, 4096, 100_000, 5 << 30):
        t.effects('truncate %d' % size, ('f', '.'), os.truncate, 'f', size)
        t.note('size', look('f'))
        t.do('start', lambda: with_fd('f', os.O_RDONLY, lambda fd: os.read(fd, 30)))
    t.effects('same size', ('f',), os.truncate, 'f', 5 << 30)
    t.do('negative', os.truncate, 'f', -1)
    t.do('too large', os.truncate, 'f', 1 << 62)
    t.do('largest', os.truncate, 'f', (1 << 63) - 1)
    for path in ('d', 'missing', 'broken', 'loop', 'f/x', '', 'dl', '.'):
        t.do('truncate ' + path, os.truncate, path, 0)
    t.do('through a symlink', os.truncate, 'l', 3)
    t.note('size', look('f'))
    t.do('read-only descriptor', lambda: with_fd('f', os.O_RDONLY, lambda fd: os.ftruncate(fd, 0)))
    os.mkfifo('fifo')
    t.do('fifo', os.truncate, 'fifo', 0)
    t.effects('open with O_TRUNC', ('x', '.'), lambda: os.close(os.open('x', os.O_WRONLY | os.O_TRUNC)))
    t.effects('open empty with O_TRUNC', ('z', '.'), lambda: os.close(os.open('z', os.O_WRONLY | os.O_TRUNC)))
    t.effects('open O_RDONLY with O_TRUNC', ('big', '.'), lambda: os.close(os.open('big', os.O_RDONLY | os.O_TRUNC)))
    t.note('left', tree('.'))
    with_fd('x', os.O_RDWR, lambda fd: [os.ftruncate(fd, 10), os.ftruncate(fd, 5), os.ftruncate(fd, 10)])
    t.do('zeros', get, 'x')


@scenario
def xattr_basics(t):
    for path in ('f', 'd', 'z', '.'):
        t.do('list', os.listxattr, path)
        t.effects('set', (path,), os.setxattr, path, 'user.one', b'1')
        t.do('create again', os.setxattr, path, 'user.one', b'2', os.XATTR_CREATE)
        t.do('replace', os.setxattr, path, 'user.one', b'3' * 100, os.XATTR_REPLACE)
        t.do('replace none', os.setxattr, path, 'user.none', b'3', os.XATTR_REPLACE)
        t.do('create', os.setxattr, path, 'user.two', b'', os.XATTR_CREATE)
        t.do('both flags', os.setxattr, path, 'user.three', b'', 3)
        t.do('bad flag', os.setxattr, path, 'user.three', b'', 4)
        t.do('list', lambda: sorted(os.listxattr(path)))
        t.do('get', os.getxattr, path, 'user.one')
        t.do('get empty', os.getxattr, path, 'user.two')
        t.effects('remove', (path,), os.removexattr, path, 'user.one')
        t.do('remove again', os.removexattr, path, 'user.one')
        t.do('get', os.getxattr, path, 'user.one')
    for name in ('', 'user', 'user.', 'nothing.a', 'usera', 'system.a', '.a', 'user.' + 'n' * 250, 'user.' + 'n' * 251, 'x' * 300):
        t.do('set ' + name[:20], os.setxattr, 'f', name, b'1')
        t.do('get ' + name[:20], os.getxattr, 'f', name)
        t.do('remove ' + name[:20], os.removexattr, 'f', name)
    for path in ('missing', 'broken', 'loop', 'f/x', ''):
        t.do('set ' + path, os.setxattr, path, 'user.a', b'1')
        t.do('get ' + path, os.getxattr, path, 'user.a')
        t.do('list ' + path, os.listxattr, path)
        t.do('remove ' + path, os.removexattr, path, 'user.a')
    t.do('on a symlink', os.setxattr, 'l', 'user.a', b'1', follow_symlinks=False)
    t.do('of a symlink', os.getxattr, 'l', 'user.a', follow_symlinks=False)
    t.do('list of a symlink', os.listxattr, 'l', follow_symlinks=False)
    t.do('through a symlink', os.setxattr, 'l', 'user.through', b'1')
    t.do('there', os.getxattr, 'f', 'user.through')
    os.mkfifo('fifo')
    t.do('on a fifo', os.setxattr, 'fifo', 'user.a', b'1')
    t.do('of a fifo', os.getxattr, 'fifo', 'user.a')


@scenario
def xattr_sizes(t):
    for size in (0, 1, 255, 1000, 3000):
        t.do('set %d' % size, os.setxattr, 'f', 'user.sized', b'v' * size)
        t.do('get', os.getxattr, 'f', 'user.sized')
    t.do('set 65537', os.setxattr, 'f', 'user.sized', b'v' * 65537)
    for size in (0, 1, 2999, 3000, 3001, 65536):
        buffer = ctypes.create_string_buffer(size + 1)
        t.do('get into %d' % size, lambda: call('getxattr', b'f', b'user.sized', buffer, size))
    os.setxattr('f', 'user.other', b'1')
    for size in (0, 1, 10, 22, 23, 100):
        buffer = ctypes.create_string_buffer(size + 1)
        t.do('list into %d' % size, lambda: call('listxattr', b'f', buffer, size))
    t.do('binary', os.setxattr, 'f', 'user.binary', bytes(range(256)))
    t.do('binary', os.getxattr, 'f', 'user.binary')
    t.do('name in latin1', os.setxattr, 'f', b'user.\xe9', b'1')
    t.do('list', lambda: sorted(os.fsencode(name).decode('latin1') for name in os.listxattr('f')))
    for path in ('f',):
        os.rename(path, 'moved')
        t.do('after rename', os.getxattr, 'moved', 'user.other')
        os.link('moved', 'linked')
        with_fd('linked', os.O_WRONLY, lambda fd: os.write(fd, b'1'))
        t.do('after write', os.getxattr, 'moved', 'user.other')


@scenario
def xattr_namespaces(t):
    for name in ('trusted.a', 'security.a', 'system.a'):
        t.do('set ' + name, os.setxattr, 'f', name, b'1')
        t.do('get ' + name, os.getxattr, 'f', name)
        t.do('list', lambda: sorted(n for n in os.listxattr('f') if not n.startswith('security.selinux')))
        t.do('remove ' + name, os.removexattr, 'f', name)
        t.do('set on folder ' + name, os.setxattr, 'd', name, b'1')
        t.do('set on symlink ' + name, os.setxattr, 'l', name, b'1', follow_symlinks=False)
        t.do('list of symlink', lambda: sorted(os.listxattr('l', follow_symlinks=False)))


@scenario
def stat_fields(t):
    for path in ('f', 'x', 'z', 'big', 'l', 'd', 'broken'):
        found = os.lstat(path)
        t.note(path, [oct(found.st_mode), found.st_uid, found.st_gid, found.st_rdev, found.st_blksize])
        t.note('one device', found.st_dev == os.lstat('.').st_dev)
        if not os.path.isdir(path) or os.path.islink(path):
            t.note('size', [found.st_nlink, found.st_size])
    found = os.stat('big')
    t.note('blocks', found.st_blocks * 512 >= found.st_size)
    for flags in (0, 0x100, 0x2000, 0x4000, 0x6000, 0x1000, 1):
        buffer = ctypes.create_string_buffer(256)
        t.do('statx with flags %x' % flags, lambda: [call('statx', AT_FDCWD, b'f', flags, 0x7ff, buffer), struct.unpack_from('I', buffer, 0)[0] & 0x7ff])
    buffer = ctypes.create_string_buffer(256)
    t.do('statx of a descriptor', lambda: with_fd('f', os.O_RDONLY, lambda fd: [call('statx', fd, b'', AT_EMPTY_PATH, 0x7ff, buffer), struct.unpack_from('Q', buffer, 40)[0]]))
    for path in ('missing', 'f/x', '', 'loop', 'broken'):
        t.do('stat ' + path, os.stat, path)
    v = os.statvfs('.')
    t.note('statvfs', [v.f_namemax, v.f_bsize > 0, v.f_frsize > 0, v.f_bavail > 0, v.f_favail > 0])
    with_fd('f', os.O_RDONLY, lambda fd: t.note('fstatvfs', os.fstatvfs(fd).f_namemax))
    t.do('pathconf NAME_MAX', os.pathconf, '.', 'PC_NAME_MAX')
    t.do('pathconf PATH_MAX', os.pathconf, '.', 'PC_PATH_MAX')


@scenario
def umask_and_modes(t):
    for mask in (0, 0o022, 0o027, 0o077, 0o777):
        os.umask(mask)
        name = '%03o' % mask
        put('file' + name, mode=0o666)
        put('exe' + name, mode=0o777)
        put('odd' + name, mode=0o7777)
        os.mkdir('dir' + name, 0o777)
        os.mkdir('dir-odd' + name, 0o7777)
        os.mkfifo('fifo' + name, 0o666)
        os.symlink('x', 'link' + name)
        os.mknod('node' + name, 0o100666)
    os.umask(0)
    t.note('left', tree('.'))
    with_fd('readonly', os.O_RDWR | os.O_CREAT | os.O_EXCL, lambda fd: t.do('write through', os.write, fd, b'x'), mode=0)


@scenario
def access_checks(t):
    os.chmod('f', 0o4)
    for path in ('f', 'd', 'l', 'x', 'missing', 'broken', 'loop', 'f/x', ''):
        for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK, os.R_OK | os.W_OK | os.X_OK):
            t.do('access %s %d' % (path, mode), os.access, path, mode)
            t.do('faccessat2', lambda: libc.syscall(439, AT_FDCWD, path.encode(), mode, 0x200) or 'yes')
    t.do('bad mode', lambda: call('access', b'f', 8))
