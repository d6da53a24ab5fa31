# Names of NAME_MAX bytes, paths of PATH_MAX bytes, and paths beyond.
import os
from harness import *

def watch(path):
    fd = call('inotify_init1', 0)
    try:
        call('inotify_add_watch', fd, path.encode(), 1)
    finally:
        os.close(fd)


CALLS = {
    'stat': lambda p: os.stat(p).st_size,
    'open': lambda p: os.close(os.open(p, os.O_RDONLY)),
    'create': lambda p: put(p),
    'mkdir': os.mkdir,
    'rmdir': os.rmdir,
    'unlink': os.unlink,
    'mkfifo': os.mkfifo,
    'symlink': lambda p: os.symlink('x', p),
    'readlink': os.readlink,
    'link to': lambda p: os.link('f', p),
    'link from': lambda p: os.link(p, 'new'),
    'rename to': lambda p: os.rename('z', p),
    'rename from': lambda p: os.rename(p, 'new'),
    'chmod': lambda p: os.chmod(p, 0o600),
    'chown': lambda p: os.chown(p, -1, -1),
    'truncate': lambda p: os.truncate(p, 0),
    'utime': lambda p: os.utime(p, (1, 1)),
    'access': lambda p: os.access(p, os.F_OK),
    'listdir': os.listdir,
    'chdir': os.chdir,
    'getxattr': lambda p: os.getxattr(p, 'user.a'),
    'setxattr': lambda p: os.setxattr(p, 'user.a', b'1'),
    'listxattr': os.listxattr,
    'removexattr': lambda p: os.removexattr(p, 'user.a'),
    'statvfs': lambda p: os.statvfs(p).f_namemax,
    'mknod': lambda p: os.mknod(p),
    'exchange': lambda p: renameat2('f', p, 2),
    'symlink with long target': lambda p: os.symlink(p, 'long-target-' + str(len(p))),
    'inotify': lambda p: watch(p),
    'chroot': lambda p: os.chroot(p),
}


@scenario
def long_names(t):
    here = os.getcwd()
    for length in (255, 256, 257, 1000, 4095):
        for folder in ('', 'd/', 'e/', 'missing/'):
            path = folder + 'n' * length if length <= 1000 else 'n' * length
            for label, action in CALLS.items():
                t.do('%s %s %d' % (label, folder, length), action, path)
                os.chdir(here)
            for left in ('new',):
                if os.path.lexists(left):
                    os.rename(left, 'z') if os.path.isfile(left) and not os.path.exists('z') else os.unlink(left)
            if not os.path.exists('z'):
                put('z')
            if os.path.lexists(path[:255]) and length == 255:
                os.unlink(path) if not os.path.isdir(path) else os.rmdir(path)
    t.note('left', sorted([len(name), value] for name, value in tree('.').items()))


@scenario
def long_multibyte_names(t):
    for name in ('\u00e9' * 127, '\u00e9' * 127 + 'a', '\u00e9' * 128, '\U0001f600' * 63, '\U0001f600' * 64):
        data = name.encode()
        t.do('create %d' % len(data), put, data)
        t.do('rename', os.rename, data, data[:-4] + b'abcd')
        t.do('exists', os.path.exists, data[:-4] + b'abcd')
    for raw in (b'\xff\xfe', b'\x01', b'new\nline', b' ', b'...', b'\\', b'*', b'\xc3', b'a\xc3\x28', b'-rf', b':'):
        t.do('raw name', put, raw, raw)
        t.do('raw name', get, raw)
        t.do('to a folder', os.mkdir, b'd/' + raw)
    t.note('names', [name.decode('latin1') for name in sorted(os.listdir(b'.'))])
    t.note('names', [name.decode('latin1') for name in sorted(os.listdir(b'd'))])


@scenario
def long_paths(t):
    here = os.getcwd()
    for start in ('d', 'new'):
        if start == 'new':
            os.mkdir('new')
        os.chdir(start)
        path = ''
        while len(path) < 3700:
            os.mkdir('p' * 200)
            os.chdir('p' * 200)
            path += 'p' * 200 + '/'
        os.chdir(here)
        for total in (4094, 4095, 4096, 5000):
            rest = total - len(start) - 1 - len(path)
            full = start + '/' + path + 'q' * min(rest, 255)
            full = full + 'x' * 0 if len(full) == total else start + '/' + path + './' * ((rest - 100) // 2) + 'q' * (rest - (rest - 100) // 2 * 2)
            t.note('length', len(full))
            for label, action in CALLS.items():
                if label in ('rename from', 'symlink with long target', 'chroot'):
                    continue
                t.do('%s %d' % (label, total), action, full)
                os.chdir(here)
                if label in ('create', 'mkfifo', 'mknod', 'symlink', 'link to', 'rename to', 'mkdir'):
                    try:
                        os.rmdir(full) if label == 'mkdir' else os.unlink(full)
                    except OSError:
                        pass
                    if not os.path.exists('z'):
                        put('z')
        t.do('rename above', os.rename, start, start + '-renamed')
        t.do('stat deep', lambda: os.path.isdir(start + '-renamed/' + path))


@scenario
def beyond_path_max(t):
    for start in ('d', 'new'):
        if start == 'new':
            os.mkdir('new')
        fds = [os.open(start, os.O_RDONLY)]
        for depth in range(60):
            name = '%03d' % depth + 'p' * 120
            os.mkdir(name, dir_fd=fds[-1])
            fds.append(os.open(name, os.O_RDONLY, dir_fd=fds[-1]))
        deep = fds[-1]
        fd = os.open('file', os.O_RDWR | os.O_CREAT, 0o644, dir_fd=deep)
        t.do('write', os.write, fd, b'deep')
        os.close(fd)
        os.symlink('file', 'link', dir_fd=deep)
        t.do('link', os.link, 'file', 'hard', src_dir_fd=deep, dst_dir_fd=deep)
        t.do('rename', os.rename, 'hard', 'harder', src_dir_fd=deep, dst_dir_fd=deep)
        t.do('stat', lambda: os.stat('link', dir_fd=deep).st_nlink)
        t.do('list', lambda: sorted(os.listdir(deep)))
        t.do('chmod', os.chmod, 'file', 0o600, dir_fd=deep)
        os.fchdir(deep)
        t.do('getcwd', lambda: len(os.getcwd()) > 5000)
        t.do('setxattr', os.setxattr, 'file', 'user.a', b'1')
        t.do('getxattr', os.getxattr, 'file', 'user.a')
        os.fchdir(fds[0])
        os.chdir('..')
        os.rename(start, start + '-moved')
        t.do('read after a rename above', lambda: with_at(deep, 'file'))
        t.do('move out', os.rename, 'file', start + '-file', src_dir_fd=deep)
        t.do('read', get, start + '-file')
        t.do('move a lower file in', os.rename, 'f' if start == 'd' else 'x', 'in', dst_dir_fd=deep)
        t.do('read it', with_at, deep, 'in')
        for name in ('link', 'harder', 'in'):
            t.do('unlink', os.unlink, name, dir_fd=deep)
        for depth in range(59, -1, -1):
            os.close(fds.pop())
            try:
                os.rmdir('%03d' % depth + 'p' * 120, dir_fd=fds[-1])
            except OSError as error:
                t.note('rmdir', name_of(error.errno))
                break
        os.close(fds[0])
        t.note('left', sorted(os.listdir(start + '-moved')))


def with_at(folder, name):
    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@scenario
def many_links(t):
    # It takes long, and is the same whatever the file was.
    if t.origin != 'lower':
        return
    count = 0
    os.mkdir('many')
    try:
        for index in range(66000):
            os.link('f', 'many/%05d' % index)
            count += 1
    except OSError as error:
        t.note('errno', name_of(error.errno))
    t.note('links', count)
    t.note('nlink', os.stat('f').st_nlink)
