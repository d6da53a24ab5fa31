# Performs the models' operations on a folder with real system calls: one JSON request a line, one answer a line.
import errno, json, os, stat, sys, ctypes

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
# A fifo that nobody else has open must not block; a symlink is an object of its own.
COMMON = os.O_NOFOLLOW | os.O_NONBLOCK
MODES = {
    'r': os.O_RDONLY,
    'r+': os.O_RDWR,
    'w': os.O_WRONLY | os.O_TRUNC,
    'a': os.O_WRONLY | os.O_APPEND,
}


def encode(text):
    return text.encode('latin1')


def describe(found):
    text = '%o %d:%d' % (found.st_mode, found.st_uid, found.st_gid)
    if stat.S_ISDIR(found.st_mode):
        return text + (' removed' if found.st_nlink == 0 else '')
    return text + ' %d %d' % (found.st_nlink, found.st_size)


def with_file(path, flags, action):
    fd = os.open(path, flags | COMMON)
    try:
        return action(fd)
    finally:
        os.close(fd)


def rename(path, to, flags):
    if libc.renameat2(AT_FDCWD, path, AT_FDCWD, to, flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def utimes(path, seconds):
    moment = seconds * 10**9 + 5
    os.utime(path, ns=(moment, moment), follow_symlinks=False)
    return os.lstat(path).st_mtime_ns


class Folder:
    def __init__(self, root):
        self.root = encode(root)
        self.slots = {}

    def at(self, path):
        return self.root + b'/' + encode(path)

    def perform(self, request):
        op = request['op']
        if 'slot' in request:
            return self.perform_on_handle(op, request)
        if op == 'tree':
            return self.tree()
        if op == 'paths':
            return self.paths()
        if op == 'closeAll':
            for fd in self.slots.values():
                os.close(fd)
            self.slots.clear()
            return None
        return getattr(self, 'do_' + op)(self.at(request['path']), request)

    def perform_on_handle(self, op, request):
        slot = request['slot']
        if op == 'open':
            if slot in self.slots:
                return 'in use'
            self.slots[slot] = os.open(self.at(request['path']), MODES[request['mode']] | COMMON)
            return None
        if slot not in self.slots:
            return 'not open'
        fd = self.slots[slot]
        if op == 'readHandle':
            return os.pread(fd, 1 << 20, 0).decode('latin1')
        if op == 'statHandle':
            return describe(os.fstat(fd))
        if op == 'writeHandle':
            return os.pwrite(fd, encode(request['data']), request['position'])
        if op == 'truncateHandle':
            return os.ftruncate(fd, request['size'])
        del self.slots[slot]
        return os.close(fd)

    def do_create(self, path, request):
        flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if request['exclusive'] else 0)
        os.close(os.open(path, flags | COMMON, request['mode']))

    def do_write(self, path, request):
        return with_file(path, os.O_WRONLY, lambda fd: os.pwrite(fd, encode(request['data']), request['position']))

    def do_append(self, path, request):
        return with_file(path, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, encode(request['data'])))

    def do_truncate(self, path, request):
        return os.truncate(path, request['size'])

    def do_read(self, path, request):
        return with_file(path, os.O_RDONLY, lambda fd: os.pread(fd, 1 << 20, 0).decode('latin1'))

    def do_list(self, path, request):
        with os.scandir(path) as entries:
            return sorted('%s %o' % (e.name.decode('latin1'), stat.S_IFMT(e.stat(follow_symlinks=False).st_mode)) for e in entries)

    def do_stat(self, path, request):
        return describe(os.lstat(path))

    def do_readlink(self, path, request):
        return os.readlink(path).decode('latin1')

    def do_unlink(self, path, request):
        return os.unlink(path)

    def do_rmdir(self, path, request):
        return os.rmdir(path)

    def do_mkfifo(self, path, request):
        return os.mkfifo(path, 0o644)

    def do_mkdir(self, path, request):
        os.mkdir(path, request['mode'])
        return describe(os.lstat(path))

    def do_chmod(self, path, request):
        os.chmod(path, request['mode'])
        return describe(os.lstat(path))

    def do_rename(self, path, request):
        return rename(path, self.at(request['to']), request['flags'])

    def do_link(self, path, request):
        os.link(path, self.at(request['to']), follow_symlinks=False)
        return describe(os.lstat(path))

    def do_symlink(self, path, request):
        return os.symlink(encode(request['target']), path)

    def do_utimes(self, path, request):
        return utimes(path, request['seconds'])

    def do_setxattr(self, path, request):
        return os.setxattr(path, request['name'], encode(request['data']), request['flags'], follow_symlinks=False)

    def do_removexattr(self, path, request):
        return os.removexattr(path, request['name'], follow_symlinks=False)

    def do_removeTree(self, path, request):
        with os.scandir(path) as entries:
            below = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for inner, is_folder in below:
            if is_folder:
                self.do_removeTree(inner, request)
            else:
                os.unlink(inner)
        os.rmdir(path)

    def paths(self):
        found = {'files': [], 'folders': []}
        for parent, folders, files in os.walk(self.root):
            for kind, names in (('folders', folders), ('files', files)):
                for name in names:
                    full = os.path.join(parent, name)
                    # A symlink to a folder counts among folders for os.walk, and is a file for us.
                    actual = 'files' if os.path.islink(full) else kind
                    found[actual].append(os.path.relpath(full, self.root).decode('latin1'))
        return {kind: sorted(paths) for kind, paths in found.items()}

    def tree(self):
        state = {}
        pending = [b'']
        while pending:
            path = pending.pop()
            full = self.root + b'/' + path
            found = os.lstat(full)
            is_folder = stat.S_ISDIR(found.st_mode)
            entry = {'stat': describe(found)}
            if is_folder or stat.S_ISREG(found.st_mode):
                entry['xattrs'] = {n: os.getxattr(full, n).decode('latin1') for n in os.listxattr(full) if n.startswith('user.')}
            if is_folder:
                pending.extend((path + b'/' + name).lstrip(b'/') for name in os.listdir(full))
            elif stat.S_ISREG(found.st_mode):
                with open(full, 'rb') as file:
                    entry['content'] = file.read().decode('latin1')
            elif stat.S_ISLNK(found.st_mode):
                entry['target'] = os.readlink(full).decode('latin1')
            state[path.decode('latin1')] = entry
        return state


def main():
    os.umask(0o022)
    folders = {}
    for line in sys.stdin:
        request = json.loads(line)
        folder = folders.setdefault(request['root'], Folder(request['root']))
        try:
            answer = {'value': folder.perform(request)}
        except OSError as error:
            answer = {'errno': errno.errorcode.get(error.errno, str(error.errno))}
        print(json.dumps(answer), flush=True)


main()
