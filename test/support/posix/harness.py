# Runs the same sequences of system calls wherever it is told to, and records what came of them, so that two
# filesystems can be compared. Nothing that may differ between two runs on one filesystem is recorded.
import ctypes, errno, os, stat, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_FOLLOW = 0x400
O_PATH = 0o10000000
O_TMPFILE = 0o20000000 | os.O_DIRECTORY
# Longer than a tick of the clock that dates changes.
TICK_S = 0.011

scenarios = {}


def scenario(function):
    """Registers a function of one Case; scenarios whose names begin with root_ run as root alone."""
    scenarios[function.__name__] = function
    return function


def name_of(number):
    return errno.errorcode.get(number, str(number))


def call(name, *args):
    """Calls a function of libc; raises OSError."""
    result = getattr(libc, name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def encoded(path):
    return path if isinstance(path, bytes) else path.encode('latin1')


def renameat2(source, target, flags):
    call('renameat2', AT_FDCWD, encoded(source), AT_FDCWD, encoded(target), flags)


def linkat(source, target, flags):
    call('linkat', AT_FDCWD, encoded(source), AT_FDCWD, encoded(target), flags)


def put(path, data=b'', mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        return os.write(fd, data) if data else 0
    finally:
        os.close(fd)


def get(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        data = b''
        while chunk := os.read(fd, 1 << 20):
            data += chunk
        return data
    finally:
        os.close(fd)


def with_fd(path, flags, action, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        return action(fd)
    finally:
        os.close(fd)


def look(path):
    """What two filesystems must agree on about an object."""
    found = os.lstat(path)
    kept = ['%o' % found.st_mode, found.st_uid, found.st_gid]
    if not stat.S_ISDIR(found.st_mode):
        kept += [found.st_nlink, found.st_size, found.st_rdev]
    return kept


def names(path):
    return sorted(name.decode('latin1') for name in os.listdir(os.fsencode(path)))


def tree(path):
    found = {}
    for parent, folders, files in os.walk(path):
        for name in folders + files:
            full = os.path.join(parent, name)
            found[os.path.relpath(full, path)] = look(full)
    return dict(sorted(found.items()))


def shown(value):
    if isinstance(value, bytes):
        return value.decode('latin1') if len(value) <= 200 else [len(value), hash_of(value)]
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (int, float, str, bool)) else repr(value)


def hash_of(data):
    import hashlib
    return hashlib.sha1(data).hexdigest()


WATCHED = ('st_mode', 'st_uid', 'st_gid', 'st_size', 'st_nlink', 'st_mtime_ns', 'st_ctime_ns', 'st_ino')


def snapshot(path):
    try:
        found = os.lstat(path)
    except OSError as error:
        return name_of(error.errno)
    # A folder's size and link count are the filesystem's business.
    skipped = ('st_size', 'st_nlink') if stat.S_ISDIR(found.st_mode) else ()
    return {key: getattr(found, key) for key in WATCHED if key not in skipped}


class Case:
    """One run of one scenario, with the folder that it may change as the current folder."""

    def __init__(self, origin=''):
        self.origin = origin
        self.log = []

    def do(self, label, function, *args, **options):
        """Records what a call returns, or its errno. Returns what it returned."""
        value = None
        try:
            value = function(*args, **options)
            outcome = shown(value)
        except OSError as error:
            outcome = name_of(error.errno)
        except (ValueError, OverflowError) as error:
            outcome = type(error).__name__
        self.log.append([label, outcome])
        return value

    def note(self, label, value):
        self.log.append([label, shown(value)])

    def effects(self, label, paths, function, *args, **options):
        """As `do`, and records which attributes of the paths it changed."""
        before = {path: snapshot(path) for path in paths}
        time.sleep(TICK_S)
        value = self.do(label, function, *args, **options)
        for path in paths:
            now = snapshot(path)
            old = before[path]
            if isinstance(now, str) or isinstance(old, str):
                change = [old if isinstance(old, str) else 'there', now if isinstance(now, str) else 'there']
            elif now['st_ino'] != old['st_ino']:
                change = ['another object']
            else:
                change = [key for key in now if now[key] != old[key]]
            self.log.append(['%s: %s' % (label, path), change])
        return value

    def as_user(self, uid, gid, groups, function):
        """Runs a function of a Case in a child of another user; records what it recorded."""
        import json
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            inner = Case()
            try:
                os.setgroups(groups)
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                function(inner)
            except BaseException as error:
                inner.log.append(['failed', repr(error)])
            os.write(writer, json.dumps(inner.log).encode())
            os._exit(0)
        os.close(writer)
        data = b''
        while chunk := os.read(reader, 65536):
            data += chunk
        os.close(reader)
        os.waitpid(pid, 0)
        self.log.extend(['%d:%d: %s' % (uid, gid, label), outcome] for label, outcome in json.loads(data))

    def child(self, function):
        """Runs a function in a child process; returns its exit code (a negative signal when one ended it)."""
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(function() or 0)
            except OSError as error:
                os._exit(error.errno)
            except BaseException:
                os._exit(255)
        status = os.waitpid(pid, 0)[1]
        return os.waitstatus_to_exitcode(status)
