# Ranges of files: holes, fallocate, copy_file_range, sendfile, files above 4 GiB.
import ctypes, os
from harness import *

KEEP, PUNCH, ZERO = 1, 2, 16


def fallocate(fd, mode, offset, length):
    call('fallocate', fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length))


def copy(source, offset_in, target, offset_out, length, flags=0):
    return os.copy_file_range(source, target, length, offset_in, offset_out)


@scenario
def fallocate_modes(t):
    # COLLAPSE and INSERT are left out: the kernel's FUSE refuses both.
    for path in ('f', 'big', 'z'):
        fd = os.open(path, os.O_RDWR)
        for label, mode in (('allocate', 0), ('keep size', KEEP), ('punch', PUNCH | KEEP), ('zero', ZERO), ('zero, keep size', ZERO | KEEP), ('punch alone', PUNCH), ('unknown', 1 << 12), ('punch and zero', PUNCH | ZERO | KEEP)):
            for offset, length in ((0, 10), (4096, 4096), (5, 8192), (400_000, 100)):
                t.do('%s %s %d %d' % (path, label, offset, length), fallocate, fd, mode, offset, length)
                t.note('size', os.fstat(fd).st_size)
        t.do('nothing', fallocate, fd, 0, 0, 0)
        t.do('negative', fallocate, fd, 0, -1, 5)
        t.do('negative length', fallocate, fd, 0, 0, -5)
        t.do('too far', fallocate, fd, 0, 1 << 62, 1 << 62)
        t.do('large', fallocate, fd, KEEP, 1 << 45, 10)
        os.close(fd)
        t.note('hash', hash_of(get(path)))
    t.effects('effects', ('f',), lambda: with_fd('f', os.O_RDWR, lambda fd: fallocate(fd, 0, 0, 1_000_000)))
    t.effects('punch effects', ('f',), lambda: with_fd('f', os.O_RDWR, lambda fd: fallocate(fd, PUNCH | KEEP, 0, 4096)))
    t.do('folder', lambda: with_fd('d', os.O_RDONLY, lambda fd: fallocate(fd, 0, 0, 1)))
    t.do('read-only', lambda: with_fd('f', os.O_RDONLY, lambda fd: fallocate(fd, 0, 0, 1)))
    t.do('pipe', lambda: fallocate(os.pipe()[1], 0, 0, 1))


@scenario
def holes(t):
    fd = os.open('sparse', os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b'start', 0)
    os.pwrite(fd, b'middle', 1 << 20)
    os.ftruncate(fd, 4 << 20)
    os.fsync(fd)
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        for at in (0, 1, 4096, 100_000, 1 << 20, (1 << 20) + 5000, (4 << 20) - 1, 4 << 20, 5 << 20, -1):
            t.do('seek %d from %d' % (whence, at), os.lseek, fd, at, whence)
    t.note('blocks', os.fstat(fd).st_blocks * 512 < 1 << 20)
    fallocate(fd, PUNCH | KEEP, 1 << 20, 4096)
    os.fsync(fd)
    t.do('no data left', os.lseek, fd, 4096, os.SEEK_DATA)
    os.close(fd)
    for path in ('f', 'z', 'big'):
        fd = os.open(path, os.O_RDONLY)
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            for at in (0, 5, 13, 14, 300_000):
                t.do('%s %d from %d' % (path, whence, at), os.lseek, fd, at, whence)
        os.close(fd)


@scenario
def copy_ranges(t):
    source = os.open('big', os.O_RDONLY)
    target = os.open('f', os.O_RDWR)
    t.effects('copy', ('f', 'big'), copy, source, 10, target, 5, 1000)
    t.do('copy past the end', copy, source, 299_990, target, 0, 100)
    t.do('copy at the end', copy, source, 300_000, target, 0, 100)
    t.do('copy beyond the end', copy, source, 400_000, target, 0, 100)
    t.do('copy nothing', copy, source, 0, target, 0, 0)
    t.do('copy far', copy, source, 0, target, 1 << 33, 10)
    t.do('copy all', copy, source, 0, target, 0, 1 << 30)
    t.do('into a read-only one', copy, target, 0, source, 0, 10)
    t.do('within, overlapping', copy, target, 0, target, 5, 10)
    t.do('within', copy, target, 0, target, 100_000, 50_000)
    t.do('flags', lambda: call('copy_file_range', source, None, target, None, 1, 1))
    with_fd('x', os.O_WRONLY | os.O_APPEND, lambda fd: t.do('into appending', copy, source, 0, fd, 0, 10))
    with_fd('d', os.O_RDONLY, lambda fd: t.do('from a folder', copy, fd, 0, target, 0, 10))
    with_fd('x', os.O_WRONLY, lambda fd: t.do('from write-only', copy, fd, 0, target, 0, 10))
    os.ftruncate(target, 400_000)
    t.note('hash', hash_of(get('f')))
    t.do('with positions', lambda: [os.lseek(source, 5, 0), os.lseek(target, 7, 0), os.copy_file_range(source, target, 20), os.lseek(source, 0, 1), os.lseek(target, 0, 1)])
    t.note('hash', hash_of(get('f')))
    t.do('sendfile', lambda: [os.lseek(target, 0, 0), os.sendfile(target, source, 100, 500), os.lseek(target, 0, 1)])
    t.note('hash', hash_of(get('f')))
    os.close(source)
    os.close(target)


@scenario
def large_files(t):
    fd = os.open('f', os.O_RDWR)
    for at in ((1 << 31) - 2, (1 << 32) - 2, (1 << 32) + 5, 5 << 30, 1 << 40):
        t.do('write at %d' % at, os.pwrite, fd, b'far out', at)
        t.do('read at %d' % at, os.pread, fd, 10, at - 1)
        t.note('size', os.fstat(fd).st_size)
    t.do('seek', os.lseek, fd, 1 << 35, os.SEEK_SET)
    t.do('write', os.write, fd, b'here')
    t.note('position', os.lseek(fd, 0, 1))
    t.do('cut', os.ftruncate, fd, (1 << 32) + 7)
    t.do('end', os.pread, fd, 10, (1 << 32) + 1)
    t.do('beyond the largest', os.pwrite, fd, b'x', (1 << 63) - 2)
    t.do('past what ext4 can', os.pwrite, fd, b'x', 1 << 45)
    t.do('start', os.pread, fd, 20, 0)
    os.close(fd)


@scenario
def limited_size(t):
    import resource, signal

    def child():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        fd = os.open('x', os.O_RDWR)
        if os.pwrite(fd, b'x' * 100, 950) != 50:
            return 201
        try:
            os.pwrite(fd, b'x', 1000)
            return 202
        except OSError as error:
            if error.errno != errno.EFBIG:
                return 203
        try:
            os.ftruncate(fd, 1001)
            return 204
        except OSError as error:
            if error.errno != errno.EFBIG:
                return 205
        try:
            os.posix_fallocate(fd, 0, 2000)
            return 206
        except OSError as error:
            return 0 if error.errno == errno.EFBIG else 207
    t.note('limit', t.child(child))
    t.note('size', look('x'))
