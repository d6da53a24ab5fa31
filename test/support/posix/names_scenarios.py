# Names: link, symlink, unlink, rename and what they change.
import os
from harness import *


@scenario
def unlink_errors(t):
    for path in ('f', 'missing', 'd', 'f/x', 'l/x', 'broken', 'dl/', 'd/b/c', 'loop', 'loop/x', 'f/', 'missing/', '', '.', 'd/..', 'd/.'):
        t.do('unlink ' + path, os.unlink, path)
    t.note('left', tree('.'))


@scenario
def unlink_effects(t):
    os.link('f', 'second')
    t.effects('unlink one of two', ('.', 'second', 'd'), os.unlink, 'f')
    t.effects('unlink below', ('.', 'd', 'd/b'), os.unlink, 'd/a')
    t.effects('unlink missing', ('.', 'd'), os.unlink, 'missing')


@scenario
def unlinked_open(t):
    fd = os.open('f', os.O_RDWR)
    t.effects('unlink', ('.',), os.unlink, 'f')
    t.note('nlink', os.fstat(fd).st_nlink)
    t.do('read', os.pread, fd, 100, 0)
    t.do('write', os.pwrite, fd, b'HELLO', 0)
    t.do('read again', os.pread, fd, 100, 0)
    t.do('chmod', os.fchmod, fd, 0o600)
    t.do('truncate', os.ftruncate, fd, 3)
    t.do('utime', os.utime, fd, (1, 2))
    t.do('setxattr', os.setxattr, fd, 'user.a', b'1')
    t.do('getxattr', os.getxattr, fd, 'user.a')
    found = os.fstat(fd)
    t.note('stat', [oct(found.st_mode), found.st_size, found.st_nlink, found.st_mtime])
    t.do('reopen', lambda: with_fd('/proc/self/fd/%d' % fd, os.O_RDONLY, lambda other: os.read(other, 10)))
    t.do('link it back', linkat, '/proc/self/fd/%d' % fd, 'back', AT_SYMLINK_FOLLOW)
    put('f', b'new')
    t.do('old', os.pread, fd, 100, 0)
    t.do('new', get, 'f')
    os.close(fd)
    t.note('left', tree('.'))


@scenario
def removed_current_folder(t):
    os.mkdir('gone')
    fd = os.open('gone', os.O_RDONLY)
    os.chdir('gone')
    t.do('rmdir', os.rmdir, '../gone')
    t.do('rmdir by path', lambda: os.rmdir(os.path.dirname(os.readlink('/proc/self/cwd').replace(' (deleted)', '')) + '/gone'))
    t.do('getcwd', os.getcwd)
    t.do('create', put, 'new')
    t.do('mkdir', os.mkdir, 'new')
    t.do('symlink', os.symlink, 'a', 'new')
    t.do('mkfifo', os.mkfifo, 'new')
    t.do('list', os.listdir, '.')
    t.do('stat', lambda: os.stat('.').st_nlink)
    t.do('open new', lambda: os.open('new', os.O_RDONLY))
    t.do('chmod', os.chmod, '.', 0o700)
    t.do('utime', os.utime, '.', (1, 1))
    t.do('mode', lambda: oct(os.stat('.').st_mode))
    t.do('rename into', os.rename, 'a', 'b')
    t.do('up', os.stat, '../f' if False else '/')
    t.do('fsync', os.fsync, fd)
    os.close(fd)


@scenario
def removed_lower_folder(t):
    os.unlink('e/k')
    fd = os.open('e', os.O_RDONLY)
    t.effects('rmdir', ('.',), os.rmdir, 'e')
    t.note('nlink', os.fstat(fd).st_nlink)
    t.do('list', os.listdir, fd)
    t.do('create below', lambda: os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    t.do('lookup below', lambda: os.stat('k', dir_fd=fd))
    t.do('mkdir below', lambda: os.mkdir('new', dir_fd=fd))
    t.do('link below', lambda: os.link('f', 'new', dst_dir_fd=fd))
    t.do('rename below', lambda: os.rename('f', 'new', dst_dir_fd=fd))
    t.do('mkdir again', os.mkdir, 'e')
    t.do('list the old', os.listdir, fd)
    t.do('list the new', names, 'e')
    os.close(fd)


@scenario
def rmdir_errors(t):
    for path in ('f', 'missing', 'd', 'd/b', 'l', 'dl', '.', 'd/.', 'd/..', 'd/b/..', 'f/x', 'loop', '', 'd/b/', 'broken'):
        t.do('rmdir ' + path, os.rmdir, path)
    os.unlink('d/b/c')
    t.effects('rmdir', ('.', 'd'), os.rmdir, 'd/b')
    t.do('rmdir of rest', os.rmdir, 'd')
    os.unlink('d/a')
    t.do('rmdir of emptied', os.rmdir, 'd')
    t.note('left', tree('.'))
    t.do('mkdir', os.mkdir, 'd')
    t.note('new is empty', names('d'))


@scenario
def mkdir_errors(t):
    for path in ('f', 'd', 'l', 'dl', 'broken', 'missing/x', 'f/x', 'loop', 'loop/x', '', '.', '..', 'd/.', 'new/', 'new2//', 'broken/'):
        t.do('mkdir ' + path, os.mkdir, path)
    t.note('left', tree('.'))


@scenario
def make_effects(t):
    t.effects('mkdir', ('.', 'd'), os.mkdir, 'd/new')
    t.effects('create', ('.', 'd'), put, 'd/file')
    t.effects('symlink', ('.', 'd'), os.symlink, 'a', 'd/link')
    t.effects('link', ('.', 'd', 'f'), os.link, 'f', 'd/hard')
    t.effects('mkfifo', ('.', 'd'), os.mkfifo, 'd/fifo')
    t.effects('create existing', ('.', 'd', 'd/a'), lambda: os.close(os.open('d/a', os.O_CREAT | os.O_WRONLY)))
    t.effects('create below twice', ('.', 'd', 'd/b'), put, 'd/b/x')
    t.effects('failing create', ('.', 'd'), lambda: os.open('d/a', os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@scenario
def link_errors(t):
    for source, target in (('missing', 'new'), ('f', 'd'), ('f', 'x'), ('f', 'f'), ('d', 'new'), ('f', 'missing/x'), ('f', 'f/x'), ('f', 'loop/x'),
                           ('f', 'broken'), ('f', 'l'), ('', 'new'), ('f', ''), ('f/', 'new'), ('f', 'new/'), ('loop', 'new-loop'), ('l', 'new-l'), ('broken', 'new-broken'), ('.', 'new')):
        t.do('link %s %s' % (source, target), os.link, source, target, follow_symlinks=False)
    t.do('follow', linkat, 'l', 'followed', AT_SYMLINK_FOLLOW)
    t.do('follow broken', linkat, 'broken', 'followed-broken', AT_SYMLINK_FOLLOW)
    t.do('follow loop', linkat, 'loop', 'followed-loop', AT_SYMLINK_FOLLOW)
    t.do('bad flags', linkat, 'f', 'flags', 1)
    t.note('left', tree('.'))
    t.note('same', os.path.samefile('f', 'followed'))
    t.do('outside', os.link, 'f', '/dev/shm/scorpio-test-link')


@scenario
def links_across_writes(t):
    os.link('f', 'g')
    os.link('g', 'd/h')
    t.effects('write', ('f', 'g', 'd/h', '.', 'd'), lambda: with_fd('g', os.O_WRONLY, lambda fd: os.write(fd, b'HELLO')))
    for path in ('f', 'g', 'd/h'):
        t.do('read ' + path, get, path)
        t.note('stat ' + path, look(path))
    t.note('one inode', len({os.stat(p).st_ino for p in ('f', 'g', 'd/h')}))
    t.effects('truncate', ('f', 'g', 'd/h'), os.truncate, 'd/h', 2)
    t.effects('rename over', ('f', 'g', 'd/h', '.', 'd'), os.rename, 'f', 'd/h')
    t.effects('rename away', ('f', 'g', 'd/h', '.', 'd'), os.rename, 'f', 'd/i')
    t.do('read', get, 'd/i')
    t.effects('unlink', ('g', 'd/i', 'd', '.'), os.unlink, 'd/h')
    t.effects('replace', ('g', 'd/i', 'd', '.'), os.replace, 'x', 'd/i')
    t.note('left', tree('.'))


@scenario
def rename_errors(t):
    for source, target in (('missing', 'new'), ('f', 'd'), ('d', 'f'), ('d', 'e'), ('d', 'd/b/x'), ('d', 'd/b'), ('d/b', 'd'), ('f', 'f/x'), ('f', 'missing/x'), ('.', 'new'), ('d/..', 'new'),
                           ('d', '.'), ('f', 'l/x'), ('loop/x', 'new'), ('f', 'loop/x'), ('', 'new'), ('f', ''), ('f/', 'new'), ('f', 'new/'), ('l/', 'new'), ('dl/', 'new'), ('f', 'd/'), ('d/b/.', 'new'), ('f', 'dl'), ('dl', 'd'), ('d', 'l')):
        t.do('rename %s %s' % (source, target), os.rename, source, target)
    t.note('left', tree('.'))


@scenario
def rename_effects(t):
    t.effects('file', ('.', 'd', 'e', 'f', 'd/f'), os.rename, 'f', 'd/f')
    t.effects('over a file', ('.', 'd', 'x', 'd/f'), os.rename, 'd/f', 'x')
    t.effects('to itself', ('.', 'x'), os.rename, 'x', 'x')
    t.effects('folder', ('.', 'd', 'e', 'd/b', 'e/b'), os.rename, 'd/b', 'e/b')
    os.mkdir('empty')
    t.effects('folder over empty', ('.', 'e', 'e/b', 'empty'), os.rename, 'e/b', 'empty')
    t.effects('symlink', ('.', 'd', 'l', 'd/l'), os.rename, 'l', 'd/l')
    t.effects('failing', ('.', 'd', 'e'), os.rename, 'd', 'e')
    t.note('left', tree('.'))


@scenario
def rename_over_emptied(t):
    os.unlink('e/k')
    t.effects('folder over emptied', ('.', 'd', 'e', 'd/b'), os.rename, 'd/b', 'e')
    t.do('read', get, 'e/c')
    t.do('make old name again', os.mkdir, 'd/b')
    t.note('it is empty', names('d/b'))
    t.do('back', os.rename, 'e', 'd/b')
    t.note('left', tree('.'))
    os.mkdir('e')
    t.note('new is empty', names('e'))


@scenario
def rename_flags(t):
    t.do('noreplace', renameat2, 'f', 'x', 1)
    t.do('noreplace same', renameat2, 'f', 'f', 1)
    t.do('noreplace missing', renameat2, 'missing', 'x', 1)
    t.effects('noreplace new', ('.', 'd'), renameat2, 'f', 'd/f', 1)
    t.do('exchange missing', renameat2, 'x', 'missing', 2)
    t.do('exchange missing source', renameat2, 'missing', 'x', 2)
    t.effects('exchange files', ('.', 'd', 'x', 'd/f'), renameat2, 'x', 'd/f', 2)
    t.effects('exchange file and folder', ('.', 'd', 'x', 'd/b'), renameat2, 'x', 'd/b', 2)
    t.effects('exchange folders', ('.', 'x', 'e'), renameat2, 'x', 'e', 2)
    t.do('exchange with parent', renameat2, 'd', 'd/a', 2)
    t.do('exchange with child', renameat2, 'd/a', 'd', 2)
    t.do('both flags', renameat2, 'x', 'e', 3)
    t.do('exchange and whiteout', renameat2, 'x', 'e', 6)
    t.do('unknown flag', renameat2, 'x', 'e', 8)
    t.do('exchange same', renameat2, 'x', 'x', 2)
    t.do('exchange symlinks', renameat2, 'l', 'dl', 2)
    t.note('left', tree('.'))
    t.do('read through', get, 'dl')


@scenario
def exchange_then_use(t):
    renameat2('d', 'e', 2)
    t.note('exchanged', tree('.'))
    put('e/new', b'1')
    os.unlink('e/a')
    t.do('move inside', os.rename, 'e/b/c', 'd/c')
    renameat2('e', 'd', 2)
    t.note('back', tree('.'))
    t.do('read', get, 'e/c')
    t.do('read', get, 'd/new')


@scenario
def symlink_errors(t):
    for target, path in (('', 'new'), ('x', 'f'), ('x', 'd'), ('x', 'l'), ('x', 'missing/x'), ('x', 'f/x'), ('x', 'loop/x'), ('x', ''), ('x', 'new/'), ('x', 'd/'), ('x', '.')):
        t.do('symlink %s %s' % (target, path), os.symlink, target, path)
    for size in (1, 100, 4095, 4096):
        t.do('target of %d' % size, os.symlink, 't' * size, 'long-%d' % size)
    for name in names('.'):
        t.do('readlink ' + name, os.readlink, name)
    t.note('left', tree('.'))


@scenario
def readlink_buffers(t):
    import ctypes
    for size in (0, 1, 2, 100):
        buffer = ctypes.create_string_buffer(200)
        t.do('readlink %d' % size, lambda: [call('readlink', b'broken', buffer, size), buffer.raw[:20]])
    for path in ('f', 'd', 'missing', 'f/x', '', 'loop', '.'):
        t.do('readlink ' + path, os.readlink, path)
    t.do('empty path', lambda: with_fd('broken', O_PATH | os.O_NOFOLLOW, lambda fd: os.readlink(b'', dir_fd=fd)))


@scenario
def symlink_loops(t):
    os.mkdir('chain')
    os.chdir('chain')
    put('0', b'end')
    for index in range(1, 45):
        os.symlink(str(index - 1), str(index))
    for index in (1, 39, 40, 41, 44):
        t.do('open %d' % index, get, str(index))
        t.do('stat %d' % index, lambda: os.stat(str(index)).st_size)
        t.do('chmod %d' % index, os.chmod, str(index), 0o600)
    for action in (os.stat, os.listdir, os.chdir, lambda p: os.open(p, os.O_RDONLY), lambda p: os.open(p, os.O_CREAT | os.O_WRONLY), lambda p: os.truncate(p, 0),
                   lambda p: os.access(p, os.R_OK), lambda p: os.utime(p), lambda p: os.getxattr(p, 'user.a'), lambda p: os.chown(p, -1, -1)):
        t.do('loop', action, '../loop')
    t.do('O_NOFOLLOW', os.open, '1', os.O_RDONLY | os.O_NOFOLLOW)
    t.do('O_NOFOLLOW and O_CREAT', os.open, '1', os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
    t.do('O_PATH and O_NOFOLLOW', lambda: with_fd('1', O_PATH | os.O_NOFOLLOW, lambda fd: oct(os.fstat(fd).st_mode)))
    t.do('O_EXCL', os.open, '1', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    t.do('O_CREAT through broken', lambda: os.close(os.open('../broken', os.O_WRONLY | os.O_CREAT)))
    t.note('it made', look('../nowhere'))
    t.do('O_DIRECTORY', os.open, '1', os.O_RDONLY | os.O_DIRECTORY)
    t.do('O_DIRECTORY and O_NOFOLLOW', os.open, '../dl', os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
