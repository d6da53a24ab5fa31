# One side of the long model: performs operations in a folder, and describes all of it.
import ctypes, errno, fcntl, mmap, os, stat

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
# Times that utimes sets; any other is that of a change.
MOMENTS = (-5, 1, 1_500_000_000, 4_500_000_000)
PUNCH_HOLE = 3
ZERO_RANGE = 16


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def describe(found):
    text = '%o %d:%d' % (found.st_mode, found.st_uid, found.st_gid)
    if stat.S_ISDIR(found.st_mode):
        return text
    return text + ' %d %d' % (found.st_nlink, found.st_size)


def moment_of(found):
    # What goes through a fifo dates it on a disk; the kernel's FUSE never hears of it.
    if stat.S_ISFIFO(found.st_mode):
        return None
    seconds = found.st_mtime_ns // 10**9
    return found.st_mtime_ns if seconds in MOMENTS else 'changed'


class Side:
    """A folder and the files that are open in it."""

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.slots = {}

    def at(self, path):
        return self.root + b'/' + path

    def perform(self, operation):
        """Returns ('value', result) or ('errno', name)."""
        name, *arguments = operation
        try:
            return 'value', getattr(self, name)(*arguments)
        except OSError as error:
            return 'errno', errno.errorcode.get(error.errno, error.errno)

    def close_all(self):
        for fd in self.slots.values():
            os.close(fd)
        self.slots.clear()

    def with_file(self, path, flags, action):
        fd = os.open(self.at(path), flags | COMMON)
        try:
            return action(fd)
        finally:
            os.close(fd)

    def create(self, path, mode, exclusive):
        os.close(os.open(self.at(path), os.O_RDWR | os.O_CREAT | COMMON | (os.O_EXCL if exclusive else 0), mode))

    def write(self, path, position, data):
        return self.with_file(path, os.O_WRONLY, lambda fd: os.pwrite(fd, data, position))

    def append(self, path, data):
        return self.with_file(path, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, data))

    def read(self, path):
        return self.with_file(path, os.O_RDONLY, lambda fd: os.pread(fd, 1 << 20, 0))

    def truncate(self, path, size):
        if not stat.S_ISLNK(os.lstat(self.at(path)).st_mode):
            os.truncate(self.at(path), size)

    def punch(self, path, mode, position, length):
        return self.with_file(path, os.O_RDWR, lambda fd: check(libc.fallocate(fd, mode, ctypes.c_int64(position), ctypes.c_int64(length))))

    def map(self, path, position, data):
        return self.with_file(path, os.O_RDWR, lambda fd: self.store(fd, position, data))

    def store(self, fd, position, data):
        """Changes part of one page through a shared mapping."""
        size = os.fstat(fd).st_size
        page = position // 4096 * 4096
        end = min(position + len(data), page + 4096, size)
        if end <= position:
            return 'outside'
        # Python closes a duplicate of the descriptor with the mapping.
        with mmap.mmap(fd, end - page, offset=page) as view:
            view[position - page:end - page] = data[:end - position]
            view.flush()
        return end

    def copy(self, source, target, from_position, to_position, length):
        return self.with_file(source, os.O_RDONLY, lambda a: self.with_file(target, os.O_RDWR, lambda b: os.copy_file_range(a, b, length, from_position, to_position)))

    def list(self, path):
        with os.scandir(self.at(path)) as entries:
            return sorted((e.name, stat.S_IFMT(e.stat(follow_symlinks=False).st_mode)) for e in entries)

    def stat(self, path):
        return describe(os.lstat(self.at(path)))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def unlink(self, path):
        os.unlink(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def mkfifo(self, path):
        os.mkfifo(self.at(path), 0o640)

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def chmod(self, path, mode):
        if not stat.S_ISLNK(os.lstat(self.at(path)).st_mode):
            os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.at(path), uid, gid)

    def rename(self, path, to, flags):
        check(libc.renameat2(AT_FDCWD, self.at(path), AT_FDCWD, self.at(to), flags))

    def link(self, path, to):
        os.link(self.at(path), self.at(to), follow_symlinks=False)

    def utimes(self, path, seconds):
        moment = seconds * 10**9 + 123_456_789
        os.utime(self.at(path), ns=(moment, moment), follow_symlinks=False)

    def setxattr(self, path, name, value, flags):
        os.setxattr(self.at(path), name, value, flags, follow_symlinks=False)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name, follow_symlinks=False)

    def remove_tree(self, path):
        full = self.at(path)
        for parent, folders, files in os.walk(full, topdown=False):
            for name in files:
                os.unlink(os.path.join(parent, name))
            for name in folders:
                inner = os.path.join(parent, name)
                os.unlink(inner) if os.path.islink(inner) else os.rmdir(inner)
        os.rmdir(full)

    def open(self, slot, path, mode):
        if slot in self.slots:
            return 'in use'
        self.slots[slot] = os.open(self.at(path), MODES[mode] | COMMON)

    def close(self, slot):
        if slot not in self.slots:
            return 'not open'
        os.close(self.slots.pop(slot))

    def on_slot(self, slot, action, *arguments):
        fd = self.slots.get(slot)
        if fd is None:
            return 'not open'
        found = os.fstat(fd)
        if action == 'stat':
            return describe(found)
        if not stat.S_ISREG(found.st_mode):
            return 'special'
        if action == 'read':
            return os.pread(fd, 1 << 20, 0)
        if action == 'write':
            return os.pwrite(fd, arguments[1], arguments[0])
        if action == 'truncate':
            return os.ftruncate(fd, arguments[0])
        if action == 'fsync':
            return os.fsync(fd)
        if action == 'chmod':
            return os.fchmod(fd, arguments[0])
        if action == 'map':
            return self.store(fd, arguments[0], arguments[1])
        raise ValueError(action)

    def write_position(self, operation):
        """Where a write will begin, that of an appending one included; None where it will fail."""
        try:
            if operation[0] == 'append':
                return os.lstat(self.at(operation[1])).st_size
            fd = self.slots[operation[1]]
            return os.fstat(fd).st_size if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND else operation[3]
        except (OSError, KeyError):
            return None

    def paths(self):
        """Paths of folders and of everything else."""
        found = ([], [])
        pending = [b'']
        while pending:
            path = pending.pop()
            with os.scandir(self.at(path)) as entries:
                for entry in entries:
                    below = path + b'/' + entry.name if path else entry.name
                    is_folder = entry.is_dir(follow_symlinks=False)
                    found[0 if is_folder else 1].append(below)
                    if is_folder:
                        pending.append(below)
        return sorted(found[0]), sorted(found[1])

    def tree(self):
        """Everything about every object; hard links are told by the first of their names."""
        state, first = {}, {}
        pending = [b'']
        while pending:
            path = pending.pop()
            full = self.at(path) if path else self.root
            found = os.lstat(full)
            entry = [describe(found), moment_of(found) if path else None]
            if stat.S_ISDIR(found.st_mode):
                pending.extend(sorted(path + b'/' + name if path else name for name in os.listdir(full)))
            elif found.st_nlink > 1:
                first.setdefault(found.st_ino, []).append(path)
            if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
                entry.append(sorted((n, os.getxattr(full, n)) for n in os.listxattr(full) if n.startswith('user.')))
            if stat.S_ISREG(found.st_mode):
                with open(full, 'rb') as file:
                    entry.append(file.read())
            elif stat.S_ISLNK(found.st_mode):
                entry.append(os.readlink(full))
            state[path] = entry
        for group in first.values():
            for path in group:
                state[path].append(sorted(group))
        return state
