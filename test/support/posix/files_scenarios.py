# Open files: flags, reading and writing, sharing, mapping, locks.
import ctypes, fcntl, mmap, os, signal, struct, time
from harness import *

libc.mmap.restype = ctypes.c_void_p


@scenario
def open_flags(t):
    for path in ('f', 'missing', 'd', 'l', 'broken', 'f/x', 'loop', '', 'x', 'f/', 'd/', 'missing/'):
        for label, flags in (('RDONLY', os.O_RDONLY), ('WRONLY', os.O_WRONLY), ('RDWR', os.O_RDWR), ('CREAT|EXCL', os.O_CREAT | os.O_EXCL | os.O_RDWR), ('NOFOLLOW', os.O_NOFOLLOW), ('DIRECTORY', os.O_DIRECTORY),
                             ('PATH', O_PATH), ('PATH|NOFOLLOW', O_PATH | os.O_NOFOLLOW), ('APPEND', os.O_WRONLY | os.O_APPEND), ('SYNC', os.O_RDWR | os.O_SYNC), ('DSYNC', os.O_RDWR | os.O_DSYNC),
                             ('NOATIME', os.O_NOATIME), ('3', 3), ('CREAT|DIRECTORY', os.O_CREAT | os.O_DIRECTORY)):
            t.do('open %s %s' % (path, label), lambda: os.close(os.open(path, flags)))
            if label == 'CREAT|EXCL' and path == 'missing' and os.path.exists(path):
                os.unlink(path)
    t.note('left', tree('.'))


@scenario
def path_descriptors(t):
    fd = os.open('f', O_PATH)
    for label, action in (('read', lambda: os.read(fd, 1)), ('write', lambda: os.write(fd, b'x')), ('chmod', lambda: os.fchmod(fd, 0o600)), ('chown', lambda: os.fchown(fd, -1, -1)), ('truncate', lambda: os.ftruncate(fd, 0)),
                          ('lock', lambda: fcntl.flock(fd, fcntl.LOCK_EX)), ('map', lambda: mmap.mmap(fd, 1)), ('stat', lambda: os.fstat(fd).st_size), ('fsync', lambda: os.fsync(fd)), ('seek', lambda: os.lseek(fd, 0, 0)),
                          ('getxattr', lambda: os.getxattr(fd, 'user.a')), ('statvfs', lambda: os.fstatvfs(fd).f_namemax), ('fchdir', lambda: os.fchdir(fd)),
                          ('reopen', lambda: get('/proc/self/fd/%d' % fd)), ('link', lambda: linkat('/proc/self/fd/%d' % fd, 'linked', AT_SYMLINK_FOLLOW))):
        t.do(label, action)
    os.close(fd)


@scenario
def bad_descriptors(t):
    read_only = os.open('f', os.O_RDONLY)
    write_only = os.open('f', os.O_WRONLY)
    t.do('write', os.write, read_only, b'x')
    t.do('pwrite', os.pwrite, read_only, b'x', 0)
    t.do('read', os.read, write_only, 1)
    t.do('negative pread', os.pread, read_only, 1, -1)
    t.do('negative pwrite', os.pwrite, write_only, b'x', -1)
    t.do('truncate', os.ftruncate, read_only, 1)
    t.do('fallocate', os.posix_fallocate, read_only, 0, 1)
    t.do('map for writing', lambda: mmap.mmap(read_only, 5, mmap.MAP_SHARED, mmap.PROT_WRITE))
    t.do('map write-only', lambda: mmap.mmap(write_only, 5, mmap.MAP_SHARED, mmap.PROT_WRITE))
    t.do('map private', lambda: len(mmap.mmap(read_only, 5, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)))
    t.do('map nothing', lambda: mmap.mmap(read_only, 1 << 20, offset=1))
    t.do('seek before', os.lseek, read_only, -1, os.SEEK_SET)
    t.do('seek whence', os.lseek, read_only, 0, 9)
    t.do('seek end', os.lseek, read_only, 5, os.SEEK_END)
    t.do('read past', os.read, read_only, 5)
    t.do('fsync', os.fsync, read_only)
    t.do('ioctl', lambda: fcntl.ioctl(read_only, 0x5401, b'\0' * 64))
    t.do('FIONREAD', lambda: struct.unpack('i', fcntl.ioctl(os.open('f', os.O_RDONLY), 0x541b, b'\0' * 4))[0])
    os.close(read_only)
    os.close(write_only)


@scenario
def write_effects(t):
    fd = os.open('f', os.O_RDONLY)
    t.effects('read', ('f', '.'), os.read, fd, 5)
    os.close(fd)
    fd = os.open('f', os.O_RDWR)
    t.do('read', os.read, fd, 5)
    t.effects('write', ('f', '.'), os.pwrite, fd, b'12345', 0)
    t.effects('write nothing', ('f', '.'), os.pwrite, fd, b'', 0)
    t.effects('extend', ('f', '.'), os.pwrite, fd, b'12345', 20)
    t.effects('second write', ('f', '.'), os.pwrite, fd, b'6', 0)
    t.do('read', os.pread, fd, 100, 0)
    t.effects('truncate', ('f',), os.ftruncate, fd, 2)
    t.effects('fsync', ('f',), os.fsync, fd)
    os.close(fd)
    t.effects('open for writing', ('x', '.'), lambda: os.close(os.open('x', os.O_RDWR)))
    t.effects('open for appending', ('big', '.'), lambda: os.close(os.open('big', os.O_WRONLY | os.O_APPEND)))


@scenario
def appending(t):
    fd = os.open('f', os.O_RDWR | os.O_APPEND)
    t.do('write', os.write, fd, b'one')
    t.do('pwrite', os.pwrite, fd, b'two', 0)
    os.lseek(fd, 0, 0)
    t.do('write after seek', os.write, fd, b'three')
    t.note('position', os.lseek(fd, 0, 1))
    os.truncate('f', 4)
    t.do('write after truncate', os.write, fd, b'four')
    fcntl.fcntl(fd, fcntl.F_SETFL, 0)
    t.do('not appending', os.pwrite, fd, b'X', 0)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    t.do('appending again', os.pwrite, fd, b'Y', 0)
    t.note('flags', fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_APPEND | 3))
    t.do('all', get, 'f')
    os.close(fd)
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            own = os.open('x', os.O_WRONLY | os.O_APPEND)
            for line in range(100):
                os.write(own, b'%d:%03d\n' % (number, line))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    lines = get('x').split(b'\n')[2:-1]
    t.note('lines of several writers', [len(lines), len(set(lines)), all(len(line) == 5 for line in lines)])


@scenario
def sharing(t):
    first = os.open('f', os.O_RDWR)
    second = os.open('f', os.O_RDONLY)
    link = os.open('l', os.O_RDONLY)
    t.do('write', os.pwrite, first, b'HELLO', 0)
    t.do('second sees', os.pread, second, 20, 0)
    t.do('link sees', os.pread, link, 20, 0)
    copy = os.dup(first)
    os.lseek(first, 3, 0)
    t.note('shared position', os.lseek(copy, 0, 1))
    t.do('code of a child', t.child, lambda: os.write(first, b'child') - 5)
    t.note('position after the child', os.lseek(first, 0, 1))
    t.do('second sees', os.pread, second, 20, 0)
    for fd in (first, second, link, copy):
        os.close(fd)
    reader = os.open('x', os.O_RDONLY)
    view = mmap.mmap(reader, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    t.note('mapped', view[:])
    with_fd('x', os.O_WRONLY, lambda fd: os.pwrite(fd, b'!!', 2))
    t.note('mapped after a write', view[:])
    t.do('read after a write', os.pread, reader, 30, 0)
    os.rename('x', 'd/x')
    with_fd('d/x', os.O_WRONLY, lambda fd: os.pwrite(fd, b'??', 4))
    t.note('mapped after a rename', view[:])
    view.close()
    os.close(reader)


@scenario
def vectors(t):
    fd = os.open('f', os.O_RDWR)
    t.do('writev', os.writev, fd, [b'ab', b'', b'cd'])
    t.do('pwritev', os.pwritev, fd, [b'12', b'34'], 2)
    t.do('preadv', lambda: [os.preadv(fd, [buffer := bytearray(4), other := bytearray(20)], 0), bytes(buffer), bytes(other)])
    for flag in (1, 2, 4, 8, 16):
        t.do('pwritev2 %d' % flag, os.pwritev, fd, [b'xy'], 0, flag)
    t.do('preadv2 nowait', lambda: type(os.preadv(fd, [bytearray(2)], 0, 8)).__name__ if False else 'skipped')
    t.do('all', os.pread, fd, 100, 0)
    os.close(fd)


@scenario
def mappings(t):
    fd = os.open('big', os.O_RDWR)
    size = os.fstat(fd).st_size
    shared = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    private = mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    shared[0:4] = b'SHAR'
    private[10:14] = b'PRIV'
    t.do('read', os.pread, fd, 20, 0)
    t.do('flush', shared.flush)
    t.do('private sees', lambda: private[0:4])
    os.pwrite(fd, b'W' * 5000, 4000)
    t.note('mapping sees a write', shared[3998:4010])
    shared[8990:9010] = b'm' * 20
    t.do('read sees the mapping', os.pread, fd, 30, 8985)
    os.ftruncate(fd, 100)
    t.note('code after touching what was cut', t.child(lambda: shared[8192] and 0))
    t.note('in the last page', shared[99])
    os.ftruncate(fd, 9000)
    t.note('zeros after the cut', shared[100:110])
    shared[8999] = 7
    shared.close()
    private.close()
    os.close(fd)
    t.do('end', lambda: get('big')[-2:])
    t.note('hash', hash_of(get('big')))


@scenario
def mapped_then_closed(t):
    fd = os.open('f', os.O_RDWR)
    shared = mmap.mmap(fd, 13, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)
    os.unlink('f')
    shared[0:5] = b'MAPPD'
    shared.flush()
    t.note('unlinked', shared[:])
    shared.close()
    fd = os.open('big', os.O_RDWR)
    shared = mmap.mmap(fd, 300000, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)
    for at in range(0, 300000, 4096):
        shared[at] = 1
    shared.close()
    t.note('hash', hash_of(get('big')))
    time.sleep(TICK_S)


@scenario
def mapped_write_dates(t):
    fd = os.open('f', os.O_RDWR)
    shared = mmap.mmap(fd, 13, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    before = os.fstat(fd)
    time.sleep(TICK_S)
    shared[0] = 90
    shared.flush()
    after = os.fstat(fd)
    t.note('dated', [after.st_mtime_ns > before.st_mtime_ns, after.st_ctime_ns > before.st_ctime_ns])
    shared.close()
    os.close(fd)


@scenario
def locks(t):
    fd = os.open('f', os.O_RDWR)
    other = os.open('f', os.O_RDWR)
    t.do('flock', fcntl.flock, fd, fcntl.LOCK_EX)
    t.do('flock by another', fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    t.do('flock shared by another', fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    t.do('unlock', fcntl.flock, fd, fcntl.LOCK_UN)
    t.do('flock by another', fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_UN)
    t.do('lockf', fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)

    def contend(start, length):
        def run():
            own = os.open('f', os.O_RDWR)
            fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        return run
    t.note('a child, same range', t.child(contend(0, 5)))
    t.note('a child, other range', t.child(contend(5, 5)))
    os.close(other)
    t.note('a child after close', t.child(contend(0, 5)))
    t.do('read lock through write-only', lambda: with_fd('f', os.O_WRONLY, lambda own: fcntl.lockf(own, fcntl.LOCK_SH | fcntl.LOCK_NB)))
    lock = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)
    F_OFD_SETLK = 37
    third = os.open('f', os.O_RDWR)
    t.do('open file description lock', lambda: len(fcntl.fcntl(fd, F_OFD_SETLK, lock)))
    t.do('by another description', lambda: len(fcntl.fcntl(third, F_OFD_SETLK, lock)))
    t.do('lease', fcntl.fcntl, third, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    os.close(fd)
    t.do('after close', lambda: len(fcntl.fcntl(third, F_OFD_SETLK, lock)))
    os.close(third)
    folder = os.open('d', os.O_RDONLY)
    t.do('flock of a folder', fcntl.flock, folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)


@scenario
def executing(t):
    t.note('runs', t.child(lambda: os.execv('./x', ['x'])))
    t.note('not executable', t.child(lambda: os.execv('./f', ['f'])))
    import shutil
    shutil.copyfile('/bin/sleep', 'sleep')
    os.chmod('sleep', 0o755)
    pid = os.fork()
    if pid == 0:
        os.execv('./sleep', ['sleep', '20'])
    time.sleep(0.15)
    t.do('write while it runs', lambda: os.close(os.open('sleep', os.O_WRONLY)))
    t.do('truncate while it runs', os.truncate, 'sleep', 0)
    t.do('read while it runs', lambda: len(get('sleep')) > 0)
    t.do('chmod while it runs', os.chmod, 'sleep', 0o700)
    t.do('rename while it runs', os.rename, 'sleep', 'd/sleep')
    t.do('replace while it runs', put, 'sleep', b'#!/bin/sh\n', 0o755)
    t.do('unlink while it runs', os.unlink, 'd/sleep')
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    fd = os.open('x', os.O_WRONLY)
    t.note('runs while it is written', t.child(lambda: os.execv('./x', ['x'])))
    os.close(fd)


@scenario
def tmpfile(t):
    def action(fd):
        os.write(fd, b'content')
        t.note('nlink', os.fstat(fd).st_nlink)
        t.note('mode', oct(os.fstat(fd).st_mode))
        t.do('link', linkat, '/proc/self/fd/%d' % fd, 'linked', AT_SYMLINK_FOLLOW)
        t.note('nlink after', os.fstat(fd).st_nlink)
        t.do('read', get, 'linked')
    t.do('in a folder', lambda: with_fd('d', O_TMPFILE | os.O_RDWR, action))
    t.do('exclusive', lambda: with_fd('d', O_TMPFILE | os.O_RDWR | os.O_EXCL, lambda fd: linkat('/proc/self/fd/%d' % fd, 'not-linked', AT_SYMLINK_FOLLOW)))
    t.do('in a file', lambda: with_fd('f', O_TMPFILE | os.O_RDWR, action))
    t.do('in nothing', lambda: with_fd('missing', O_TMPFILE | os.O_RDWR, action))
    t.do('read-only', lambda: with_fd('d', O_TMPFILE | os.O_RDONLY, action))
    t.effects('changes nothing', ('.', 'd'), lambda: with_fd('d', O_TMPFILE | os.O_RDWR, lambda fd: None))
    t.note('left', tree('.'))


@scenario
def direct(t):
    put('direct')
    fd = os.open('direct', os.O_RDWR | os.O_DIRECT)
    page = mmap.mmap(-1, 8192)
    page[:] = b'd' * 8192
    t.do('write', os.pwritev, fd, [page], 0)
    t.do('read', lambda: [os.preadv(fd, [page], 4096), hash_of(page[:4096])])
    t.do('past the end', os.preadv, fd, [page], 8192)
    os.close(fd)
    t.note('size', look('direct'))
    t.note('hash', hash_of(get('direct')))
