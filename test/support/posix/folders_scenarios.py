# Folders: listings that stay right, and renamed, removed and replaced folders.
import ctypes, os, struct
from harness import *

libc.opendir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.restype = ctypes.c_void_p
for function in ('readdir', 'rewinddir', 'closedir', 'telldir'):
    getattr(libc, function).argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    def __init__(self, path):
        self.dir = libc.opendir(path.encode())

    def next(self):
        entry = libc.readdir(self.dir)
        if not entry:
            return None
        return ctypes.string_at(entry + 19).decode('latin1')

    def rest(self):
        found = []
        while (name := self.next()) is not None:
            found.append(name)
        return found

    def tell(self):
        return libc.telldir(self.dir)

    def seek(self, position):
        libc.seekdir(self.dir, position)

    def rewind(self):
        libc.rewinddir(self.dir)

    def close(self):
        libc.closedir(self.dir)


def getdents(fd, size):
    buffer = ctypes.create_string_buffer(size)
    length = libc.syscall(217 if os.uname().machine == 'x86_64' else 61, fd, buffer, size)
    if length < 0:
        raise OSError(ctypes.get_errno(), '')
    found, at = [], 0
    while at < length:
        size_of_entry, = struct.unpack_from('H', buffer, at + 16)
        found.append([buffer.raw[at + 19:at + size_of_entry].split(b'\0')[0].decode('latin1'), buffer.raw[at + 18]])
        at += size_of_entry
    return found


@scenario
def listing(t):
    t.note('names', sorted(Stream('.').rest()))
    t.note('types', sorted([e.name, e.is_dir(follow_symlinks=False), e.is_symlink(), e.is_file(follow_symlinks=False)] for e in os.scandir('.')))
    # The numbers of entries are those that stat tells.
    t.note('inodes', sorted([e.name, e.inode() == os.lstat(e.name).st_ino] for e in os.scandir('.')))
    fd = os.open('.', os.O_RDONLY)
    for size in (1, 16, 23):
        t.do('getdents in %d bytes' % size, getdents, fd, size)
    small = []
    while part := getdents(fd, 48):
        small += part
    t.note('getdents in small buffers', sorted(small))
    t.do('at the end', getdents, fd, 4096)
    os.lseek(fd, 0, os.SEEK_SET)
    t.note('again', sorted(getdents(fd, 4096)))
    os.close(fd)
    for path in ('f', 'l', 'missing', 'broken', 'loop', 'f/x', ''):
        t.do('list ' + path, os.listdir, path)
    t.do('getdents of a file', lambda: with_fd('f', os.O_RDONLY, lambda fd: getdents(fd, 100)))


@scenario
def dot_entries(t):
    for path in ('.', 'd', 'd/b'):
        inodes = {}
        fd = os.open(path, os.O_RDONLY)
        buffer = ctypes.create_string_buffer(4096)
        length = libc.syscall(217, fd, buffer, 4096)
        at = 0
        while at < length:
            ino, _, size = struct.unpack_from('QqH', buffer, at)
            inodes[buffer.raw[at + 19:at + size].split(b'\0')[0]] = ino
            at += size
        os.close(fd)
        t.note('. of ' + path, inodes[b'.'] == os.stat(path).st_ino)
        t.note('.. of ' + path, inodes[b'..'] == os.stat(path + '/..').st_ino)
    os.rename('d/b', 'e/b')
    fd = os.open('e/b', os.O_RDONLY)
    t.note('.. after a rename', os.stat('..', dir_fd=fd).st_ino == os.stat('e').st_ino)
    os.close(fd)


@scenario
def positions(t):
    for index in range(300):
        put('d/n%03d' % index)
    stream = Stream('d')
    order, marks = [], []
    while True:
        marks.append(stream.tell())
        name = stream.next()
        if name is None:
            break
        order.append(name)
    t.note('all once', [len(order), len(set(order))])
    for index in (0, 1, 2, 100, 250, len(order) - 1):
        stream.seek(marks[index])
        t.note('seek %d' % index, stream.rest() == order[index:])
    stream.rewind()
    t.note('rewind', sorted(stream.rest()) == sorted(order))
    stream.close()


@scenario
def listing_while_it_changes(t):
    for index in range(600):
        put('d/n%03d' % index)
    stream = Stream('d')
    seen = [stream.next() for _ in range(50)]
    removed = ['n%03d' % index for index in range(0, 600, 2)]
    for name in removed:
        os.unlink('d/' + name)
    for index in range(200):
        put('d/new%03d' % index)
    seen += stream.rest()
    kept = {'n%03d' % index for index in range(1, 600, 2)} | {'a', 'b'}
    t.note('each that stayed exactly once', sorted(name for name in kept if seen.count(name) != 1))
    t.note('none twice', len(seen) == len(set(seen)))
    stream.rewind()
    t.note('all after rewinddir', sorted(stream.rest()))
    stream.close()
    # As rm -r does.
    stream = Stream('d')
    while (name := stream.next()) is not None:
        if name not in ('.', '..', 'b'):
            os.unlink('d/' + name)
    stream.close()
    t.note('emptied', names('d'))


@scenario
def renaming_while_listing(t):
    for index in range(200):
        put('e/n%03d' % index)
    stream = Stream('e')
    count = 0
    while (name := stream.next()) is not None and count < 1000:
        count += 1
        if name.startswith('n'):
            os.rename('e/' + name, 'e/r' + name)
    stream.close()
    t.note('ends', count < 1000)
    t.note('left', names('e'))


@scenario
def folder_handles(t):
    fd = os.open('d', os.O_RDONLY)
    t.do('read', os.read, fd, 10)
    t.do('write', os.write, fd, b'x')
    t.do('truncate', os.ftruncate, fd, 0)
    t.do('fsync', os.fsync, fd)
    t.do('fdatasync', os.fdatasync, fd)
    t.do('fallocate', os.posix_fallocate, fd, 0, 10)
    t.do('fchmod', os.fchmod, fd, 0o711)
    t.do('chdir', os.fchdir, fd)
    t.note('mode', look('.'))
    os.close(fd)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREAT, os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_APPEND, os.O_DIRECTORY | os.O_CREAT, os.O_DIRECTORY | os.O_RDWR):
        t.do('open with %o' % flags, lambda: os.close(os.open('../d', flags)))
    t.do('O_DIRECTORY of a file', os.open, '../f', os.O_RDONLY | os.O_DIRECTORY)


@scenario
def deep_below_renamed(t):
    os.rename('d', 'moved')
    os.rename('moved/b', 'b')
    os.mkdir('d')
    t.note('new is empty', names('d'))
    os.rename('b', 'd/b')
    t.do('read', get, 'd/b/c')
    put('d/b/c', b'other')
    os.rename('moved', 'd/moved')
    t.note('left', tree('.'))
    t.do('remove', lambda: [os.unlink('d/b/c'), os.rmdir('d/b'), os.unlink('d/moved/a'), os.rmdir('d/moved'), os.rmdir('d')])
    t.note('left', tree('.'))


@scenario
def recreated_names(t):
    for _ in range(3):
        os.unlink('d/a')
        put('d/a', b'again')
        os.unlink('d/a')
        os.mkdir('d/a')
        put('d/a/inner')
        os.unlink('d/a/inner')
        os.rmdir('d/a')
        os.symlink('b', 'd/a')
        t.note('link', names('d/a'))
        os.unlink('d/a')
        os.mkfifo('d/a')
    t.note('left', tree('.'))


@scenario
def remove_all(t):
    import shutil
    for name in names('.'):
        if os.path.isdir(name) and not os.path.islink(name):
            shutil.rmtree(name)
        else:
            os.unlink(name)
    t.note('left', tree('.'))
    os.mkdir('d')
    put('d/a', b'1')
    t.note('left', tree('.'))
    t.effects('mkdir', ('.', 'd'), os.mkdir, 'd/b')
    t.note('it is empty', names('d/b'))
