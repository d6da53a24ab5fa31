# What other users may do, set-id bits, sticky folders, groups. Most need root to become somebody else.
import os, stat
from harness import *

OWNER, OTHER, GROUP = 1001, 1002, 2001
CHANGES = {
    'write': lambda path: with_fd(path, os.O_WRONLY, lambda fd: os.write(fd, b'x')),
    'write nothing': lambda path: with_fd(path, os.O_WRONLY, lambda fd: os.write(fd, b'')),
    'open truncating': lambda path: with_fd(path, os.O_WRONLY | os.O_TRUNC, lambda fd: None),
    'truncate': lambda path: os.truncate(path, 1),
    'ftruncate': lambda path: with_fd(path, os.O_WRONLY, lambda fd: os.ftruncate(fd, 1)),
    'fallocate': lambda path: with_fd(path, os.O_WRONLY, lambda fd: os.posix_fallocate(fd, 0, 10)),
    'chown to itself': lambda path: os.chown(path, -1, -1),
    'chown group': lambda path: os.chown(path, -1, os.stat(path).st_gid),
    'chmod': lambda path: os.chmod(path, 0o6755),
    'utime': lambda path: os.utime(path),
    'copy_file_range': lambda path: with_fd(path, os.O_WRONLY, lambda fd: with_fd('f', os.O_RDONLY, lambda source: os.copy_file_range(source, fd, 5))),
}


@scenario
def set_id_own(t):
    for label, change in CHANGES.items():
        for mode in (0o6755, 0o6777, 0o2745):
            os.chmod('x', mode)
            t.do('%s with %o' % (label, mode), change, 'x')
            t.note('mode', oct(os.stat('x').st_mode))
    os.chmod('d', 0o2755)
    os.chown('d', -1, -1)
    t.note('folder', oct(os.stat('d').st_mode))


@scenario
def root_set_id_clearing(t):
    os.chmod('.', 0o777)
    for owner in (OWNER, OTHER):
        for label, change in CHANGES.items():
            # That somebody else changes nothing is no error here, see docs/semantics.md; it has no effect either.
            if label == 'chown to itself' and owner == OTHER:
                continue
            # Without x for the group that bit is no set-group-id, and the kernel's FUSE leaves it alone.
            for mode in (0o6777, 0o2777, 0o4777):
                os.chown('x', OWNER, GROUP)
                os.chmod('x', mode)
                t.as_user(owner, owner, [GROUP] if mode == 0o4777 else [], lambda inner: inner.do('%s with %o' % (label, mode), change, 'x'))
                t.note('mode after %s with %o by %d' % (label, mode, owner), oct(os.stat('x').st_mode))


@scenario
def root_chown(t):
    for path in ('f', 'x', 'd', 'l', 'z', 'd/b'):
        t.effects('chown ' + path, (path, '.'), os.lchown, path, OWNER, GROUP)
        t.note('owner', look(path))
        t.effects('only group ' + path, (path,), os.lchown, path, -1, OTHER)
        t.effects('neither ' + path, (path,), os.lchown, path, -1, -1)
    for mode in (0o6755, 0o2745, 0o7777):
        os.chmod('x', mode)
        t.do('chown', os.chown, 'x', OTHER, GROUP)
        t.note('mode', look('x'))
        os.chmod('d', mode)
        t.do('chown', os.chown, 'd', OTHER, GROUP)
        t.note('mode', look('d'))
    t.do('large ids', os.chown, 'f', 4_000_000_000, 4_000_000_001)
    t.note('owner', look('f'))
    for path in ('missing', 'broken', 'loop', 'f/x', ''):
        t.do('chown ' + path, os.chown, path, 1, 1)


@scenario
def root_chown_by_users(t):
    os.chown('f', OWNER, OWNER)
    os.chown('.', OWNER, OWNER)
    for uid, gid, groups in ((OWNER, OWNER, [GROUP]), (OTHER, OTHER, [])):
        for new in ((OTHER, -1), (-1, GROUP), (-1, OTHER), (-1, OWNER), (OWNER, -1), (-1, -1), (OWNER, GROUP)):
            t.as_user(uid, gid, groups, lambda inner: inner.do('chown %d:%d' % new, os.chown, 'f', *new))
            t.note('owner', look('f'))
            os.chown('f', OWNER, OWNER)
        t.as_user(uid, gid, groups, lambda inner: inner.do('chmod', os.chmod, 'f', 0o2755))
        t.note('mode', look('f'))
    os.chown('f', OWNER, GROUP)
    t.as_user(OWNER, OWNER, [], lambda inner: inner.do('set-group-id of a foreign group', os.chmod, 'f', 0o2755))
    t.note('mode', look('f'))


@scenario
def root_permissions(t):
    os.chmod('.', 0o755)
    for mode in (0o700, 0o750, 0o755, 0o070, 0o007, 0o711, 0o744, 0o733, 0):
        for path in ('f', 'd'):
            os.chown(path, OWNER, GROUP)
            os.chmod(path, mode)
        for uid, gid, groups in ((OWNER, OWNER, []), (OTHER, GROUP, []), (OTHER, OTHER, [7, GROUP]), (OTHER, OTHER, [])):
            def run(inner):
                inner.note('mode', oct(mode))
                inner.do('read', get, 'f')
                inner.do('write', lambda: with_fd('f', os.O_WRONLY, lambda fd: os.write(fd, b'h')))
                inner.do('execute', os.access, 'f', os.X_OK)
                inner.do('truncate', os.truncate, 'f', 13)
                inner.do('list', names, 'd')
                inner.do('look', os.stat, 'd/a') and None
                inner.do('read below', get, 'd/a')
                inner.do('create', put, 'd/new', b'1')
                inner.do('mkdir', os.mkdir, 'd/folder')
                inner.do('rename', os.rename, 'd/new', 'd/newer')
                inner.do('unlink', os.unlink, 'd/newer')
                inner.do('rmdir', os.rmdir, 'd/folder')
                inner.do('chdir', lambda: (os.chdir('d'), os.chdir('..'))[0])
                inner.do('chmod', os.chmod, 'f', mode)
                inner.do('utime now', os.utime, 'f')
                inner.do('utime', os.utime, 'f', (1, 1))
                inner.do('setxattr', os.setxattr, 'f', 'user.a', b'1')
                inner.do('getxattr', os.getxattr, 'f', 'user.a')
                inner.do('link', os.link, 'f', 'd/hard')
                inner.do('unlink link', os.unlink, 'd/hard')
                inner.do('symlink', os.symlink, 'f', 'd/soft')
                inner.do('unlink symlink', os.unlink, 'd/soft')
                inner.do('trusted', os.setxattr, 'f', 'trusted.a', b'1')
                inner.do('mknod', os.mknod, 'd/node', stat.S_IFCHR | 0o600, os.makedev(1, 3))
                inner.do('noatime', lambda: os.close(os.open('f', os.O_RDONLY | os.O_NOATIME)))
                inner.do('exec folder', os.access, 'd', os.R_OK | os.W_OK | os.X_OK)
            os_stat_hidden(t, uid, gid, groups, run)


def os_stat_hidden(t, uid, gid, groups, run):
    before = len(t.log)
    t.as_user(uid, gid, groups, run)
    # A whole stat result holds times and numbers that differ.
    t.log[before:] = [[label, 'found' if isinstance(value, list) and label.endswith('look') else value] for label, value in t.log[before:]]


@scenario
def root_sticky(t):
    os.chmod('d', 0o1777)
    os.chmod('.', 0o777)
    for name, owner in (('mine', OWNER), ('theirs', OTHER)):
        put('d/' + name)
        os.chown('d/' + name, owner, owner)
        os.mkdir('d/folder-' + name)
        os.chown('d/folder-' + name, owner, owner)

    def run(inner):
        for name in ('theirs', 'mine', 'a'):
            inner.do('rename ' + name, os.rename, 'd/' + name, 'd/other-' + name)
            inner.do('rename back ' + name, os.rename, 'd/other-' + name, 'd/' + name)
            inner.do('rename out ' + name, os.rename, 'd/' + name, 'out')
            inner.do('rename in ' + name, os.rename, 'out', 'd/' + name)
            inner.do('exchange ' + name, renameat2, 'd/' + name, 'd/mine', 2)
        inner.do('replace', os.rename, 'd/mine', 'd/theirs')
        inner.do('replace folder', os.rename, 'd/folder-mine', 'd/folder-theirs')
        inner.do('rmdir', os.rmdir, 'd/folder-theirs')
        inner.do('rmdir own', os.rmdir, 'd/folder-mine')
        inner.do('unlink', os.unlink, 'd/theirs')
        inner.do('unlink root', os.unlink, 'd/a')
        inner.do('unlink own', os.unlink, 'd/mine')
        inner.do('create', put, 'd/new')
        inner.do('write to foreign', lambda: os.close(os.open('d/a', os.O_WRONLY | os.O_CREAT)))
    t.as_user(OWNER, OWNER, [], run)
    t.note('left', tree('d'))
    os.chown('d', OTHER, OTHER)
    t.as_user(OTHER, OTHER, [], lambda inner: inner.do('owner of the folder', os.unlink, 'd/a'))
    t.note('left', tree('d'))


@scenario
def root_inherited_groups(t):
    os.chown('d', OWNER, GROUP)
    os.chmod('d', 0o2777)

    def run(inner):
        os.umask(0)
        inner.do('file', put, 'd/file', b'', 0o666)
        inner.do('file with bit', put, 'd/bit', b'', 0o2777)
        inner.do('folder', os.mkdir, 'd/folder', 0o777)
        inner.do('inner folder', os.mkdir, 'd/folder/inner', 0o777)
        inner.do('symlink', os.symlink, 'x', 'd/link')
        inner.do('fifo', os.mkfifo, 'd/fifo', 0o666)
        inner.do('node', os.mknod, 'd/node', stat.S_IFREG | 0o2777)
    t.as_user(OTHER, OTHER, [], run)
    t.note('left', tree('d'))
    os.rename('f', 'd/f')
    t.note('moved keeps its group', look('d/f'))


@scenario
def root_owner_of_new(t):
    os.chmod('.', 0o777)

    def run(inner):
        put('file')
        os.mkdir('folder')
        os.symlink('x', 'link')
        os.mkfifo('fifo')
        os.link('file', 'hard')
        inner.do('link to foreign', os.link, 'f', 'foreign')
        inner.do('write', put, 'file', b'1')
    t.as_user(OWNER, GROUP, [7], run)
    t.note('left', tree('.'))


@scenario
def root_hidden_parents(t):
    os.chmod('d', 0o700)
    fd = os.open('d/b', os.O_RDONLY)

    def run(inner):
        inner.do('path', get, 'd/b/c')
        inner.do('descriptor', lambda: with_fd_at(fd, 'c'))
        inner.do('access', os.access, 'd/b/c', os.R_OK)
        inner.do('errno of a missing name', os.stat, 'd/missing')
        inner.do('rename out', os.rename, 'd/a', 'a')
    t.as_user(OTHER, OTHER, [], run)
    os.close(fd)


def with_fd_at(folder, name):
    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@scenario
def root_capabilities(t):
    value = bytes.fromhex('0100000200040000000000000000000000000000')
    t.do('set', os.setxattr, 'x', 'security.capability', value)
    t.do('get', os.getxattr, 'x', 'security.capability')
    os.chmod('x', 0o777)
    t.as_user(OWNER, OWNER, [], lambda inner: inner.do('write', lambda: with_fd('x', os.O_WRONLY, lambda fd: os.write(fd, b'x'))))
    t.do('after a write', os.getxattr, 'x', 'security.capability')
    os.setxattr('x', 'security.capability', value)
    t.do('chown', os.chown, 'x', OWNER, OWNER)
    t.do('after chown', os.getxattr, 'x', 'security.capability')
    os.setxattr('x', 'security.capability', value)
    os.truncate('x', 0)
    t.do('after truncate', os.getxattr, 'x', 'security.capability')


@scenario
def access_of_own(t):
    # As root most of this works, as anybody else it must not.
    os.chmod('f', 0)
    os.chmod('d', 0)
    t.do('read', get, 'f')
    t.do('write', lambda: os.close(os.open('f', os.O_WRONLY)))
    t.do('list', names, 'd')
    t.do('below', get, 'd/a')
    t.do('chmod', os.chmod, 'd', 0o500)
    t.do('create', put, 'd/new')
    t.do('unlink', os.unlink, 'd/a')
    t.do('rename', os.rename, 'd/b', 'd/c')
    t.do('rename out', os.rename, 'd/b', 'out')
    t.do('rename in', os.rename, 'x', 'd/x')
    os.chmod('d', 0o300)
    t.do('list without r', names, 'd')
    os.chmod('d', 0o600)
    t.do('look without x', get, 'd/a')
    os.chmod('d', 0o755)
    t.do('chown to root', os.chown, 'x' if os.path.exists('x') else 'd/x', 0, 0)
    t.do('device', os.mknod, 'device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    t.do('trusted', os.setxattr, 'd', 'trusted.a', b'1')
    t.do('list trusted', os.listxattr, 'd')
    t.do('capability', os.setxattr, 'd', 'security.capability', b'1')
    t.do('chroot', os.chroot, 'nowhere-there')
    t.do('rename of a folder that is not writable', lambda: [os.mkdir('p'), os.mkdir('q'), os.chmod('p', 0o555), os.rename('p', 'q/p')][3])
