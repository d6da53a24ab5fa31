# The long model: random operations on a mount and on a plain folder, which must come to the same.
#   main.py MOUNT PLAIN SEED OPERATIONS CRASH_EVERY
# Both folders hold the same numbered folders, and an epoch plays in each. Every CRASH_EVERY operations (0: never) the
# daemon ends: prints {"crash": milliseconds, "how": ...} and goes on until calls fail; then prints {"dead": true} and
# waits for a line, after which the mount is there again. Prints {"done": operations} at the end.
import hashlib, json, os, random, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from walk import MOMENTS, PUNCH_HOLE, ZERO_RANGE, Side

EPOCH = 2000
COMPARE_EVERY = 250
DEAD = ('ENOTCONN', 'ECONNABORTED', 'EIO', 'ESHUTDOWN', 'ENODEV')
NAMES = (b'a', b'b', b'c', b'd', b'\xe9', b'n' * 255)
DATA = (b'x', b'some data\n', b'y' * 5000, b'', bytes(range(256)) * 70)
POSITIONS = (0, 3, 4090, 4096, 10_000, 30_000)
SIZES = (0, 1, 5, 4096, 12_000, 300_000)
FILE_MODES = (0o644, 0o600, 0o755, 0o4755, 0o2755, 0o444)
FOLDER_MODES = (0o755, 0o700, 0o775, 0o1777, 0o2755)
SLOTS = (0, 1, 2, 3)
LOOKS = ('read', 'list', 'stat', 'readlink')


class Draw:
    """Draws operations, mostly on what is there."""

    def __init__(self, seed, is_root):
        self.random = random.Random(seed)
        self.is_root = is_root
        self.folders, self.files = [], []

    def learn(self, paths):
        self.folders, self.files = paths

    def of(self, values, otherwise=b'a'):
        return self.random.choice(values) if values else otherwise

    def file(self):
        return self.of(self.files) if self.random.random() < 0.85 else self.place()

    def folder(self):
        return self.of(self.folders) if self.random.random() < 0.9 else self.place()

    def any(self):
        return self.file() if self.random.random() < 0.7 else self.folder()

    def place(self):
        parent = self.of([b''] + self.folders)
        # Deep enough to be interesting; a tree that only grows would be slow.
        if parent.count(b'/') > 4:
            parent = parent.split(b'/')[0]
        name = self.of(NAMES)
        return parent + b'/' + name if parent else name

    def flags(self):
        return self.of((0, 0, 0, 1, 2, 2))

    def operation(self, atomic=False):
        pick = self.of
        choices = (
            (6, lambda: ('create', self.place(), pick(FILE_MODES), self.random.random() < 0.5)),
            (6, lambda: ('write', self.file(), pick(POSITIONS), pick(DATA))),
            (4, lambda: ('append', self.file(), pick(DATA))),
            (4, lambda: ('truncate', self.file(), pick(SIZES))),
            (2, lambda: ('punch', self.file(), pick((0, 1, PUNCH_HOLE, ZERO_RANGE)), pick(POSITIONS), pick((1, 4096, 9000)))),
            (5, lambda: ('map', self.file(), pick(POSITIONS), pick((b'mapped', b'm' * 3000)))),
            (3, lambda: ('copy', self.file(), self.file(), pick(POSITIONS), pick(POSITIONS), pick((5, 5000)))),
            (4, lambda: ('unlink', self.any())),
            (2, lambda: ('rmdir', self.folder())),
            (0 if atomic else 3, lambda: ('remove_tree', self.folder())),
            (4, lambda: ('mkdir', self.place(), pick(FOLDER_MODES))),
            (1, lambda: ('mkfifo', self.place())),
            (2, lambda: ('symlink', pick((b'a', b'b/c', b'nowhere')), self.place())),
            (3, lambda: ('chmod', self.any(), pick(FILE_MODES + FOLDER_MODES))),
            (2 if self.is_root else 0, lambda: ('chown', self.any(), pick((0, 1, -1)), pick((0, 1, -1)))),
            (5, lambda: ('rename', self.file(), self.place(), self.flags())),
            (5, lambda: ('rename', self.folder(), self.place(), self.flags())),
            (4, lambda: ('rename', self.any(), self.any(), self.flags())),
            (4, lambda: ('link', self.file(), self.place())),
            (3, lambda: ('utimes', self.any(), pick(MOMENTS))),
            (3, lambda: ('setxattr', self.any(), pick(('user.one', 'user.two')), pick((b'', b'value', b'v' * 500)), pick((0, 0, 1, 2)))),
            (1, lambda: ('removexattr', self.any(), pick(('user.one', 'user.two')))),
            (4, lambda: ('open', pick(SLOTS), self.file(), pick(('r', 'r+', 'r+', 'w', 'a')))),
            (3, lambda: ('close', pick(SLOTS))),
            (3, lambda: ('on_slot', pick(SLOTS), 'read')),
            (1, lambda: ('on_slot', pick(SLOTS), 'stat')),
            (4, lambda: ('on_slot', pick(SLOTS), 'write', pick(POSITIONS), pick(DATA))),
            (2, lambda: ('on_slot', pick(SLOTS), 'truncate', pick(SIZES))),
            (1, lambda: ('on_slot', pick(SLOTS), 'chmod', pick(FILE_MODES))),
            (3, lambda: ('on_slot', pick(SLOTS), 'map', pick(POSITIONS), b'through a handle')),
            (1, lambda: ('on_slot', pick(SLOTS), 'fsync')),
            (3, lambda: ('read', self.file())),
            (2, lambda: ('list', self.folder())),
            (2, lambda: ('stat', self.any())),
            (1, lambda: ('readlink', self.file())),
        )
        return self.random.choices([make for _, make in choices], [weight for weight, _ in choices])[0]()


def tell(message):
    print(json.dumps(message), flush=True)


def short(value):
    """The value, with long contents told by length and hash."""
    if isinstance(value, bytes) and len(value) > 40:
        # The name of NAME_MAX bytes is part of many paths.
        text = value.replace(NAMES[-1], b'NNN')
        return text if len(text) <= 40 else '%d bytes, %s' % (len(value), hashlib.sha1(value).hexdigest()[:8])
    if isinstance(value, (list, tuple)):
        return type(value)(short(item) for item in value)
    return value


def fail(what, **details):
    tell({'failed': what, **{key: repr(short(value))[:40000] for key, value in details.items()}})
    sys.exit(1)


def pieces(side, operation):
    """
    The steps in which an operation may have happened when the process that performs it is killed: the kernel ends the
    write of a dying process at a page, on any filesystem.
    """
    name, *rest = operation
    if name == 'write':
        position, data, make = rest[1], rest[2], lambda at, part: ('write', rest[0], at, part)
    elif name == 'append':
        position, data, make = None, rest[1], lambda _, part: ('append', rest[0], part)
    elif name == 'on_slot' and rest[1] == 'write':
        position, data, make = rest[2], rest[3], lambda at, part: ('on_slot', rest[0], 'write', at, part)
    else:
        return [operation]
    start = side.write_position(operation) if position is None or name == 'on_slot' else position
    if start is None:
        return [operation]
    steps, done = [], 0
    while done < len(data):
        end = min(len(data), done + 4096 - (start + done) % 4096)
        steps.append(make((position or 0) + done, data[done:end]))
        done = end
    return steps or [operation]


def difference(mount, plain):
    """The paths that two trees do not share, shortened."""
    paths = sorted(path for path in {**mount, **plain} if mount.get(path) != plain.get(path))
    return [(path, mount.get(path), plain.get(path)) for path in paths][:8]


class Epoch:
    def __init__(self, mount, plain, draw, name):
        self.mount, self.plain = Side(mount + '/' + name), Side(plain + '/' + name)
        self.draw = draw
        self.name = name
        self.history = []

    def step(self, operation):
        """Performs an operation on both. Returns False when the daemon is gone."""
        outcome = self.mount.perform(operation)
        if outcome[0] == 'errno' and outcome[1] in DEAD:
            return False
        self.history.append(operation)
        expected = self.plain.perform(operation)
        if outcome != expected:
            fail('outcome', epoch=self.name, operation=operation, mount=outcome, plain=expected, history=self.history[-12:])
        return True

    def compare(self, context):
        mount, plain = self.mount.tree(), self.plain.tree()
        if mount != plain:
            fail('tree', epoch=self.name, context=context, difference=difference(mount, plain), history=self.history[-COMPARE_EVERY:])

    def recover(self, pending):
        """After a crash during `pending`: it has happened or it has not, and all before has."""
        tell({'dead': True})
        sys.stdin.readline()
        # What was open in the mount is lost; on the plain side it serves once more.
        for fd in self.mount.slots.values():
            os.close(fd)
        self.mount.slots.clear()
        mount = self.mount.tree()
        before = self.plain.tree()
        if mount != before:
            after = before
            for step in [] if pending is None else pieces(self.plain, pending):
                self.plain.perform(step)
                after = self.plain.tree()
                if mount == after:
                    break
            if mount != after:
                fail('crash', epoch=self.name, pending=pending, old=difference(mount, before), new=difference(mount, after), history=self.history[-COMPARE_EVERY:])
        self.plain.close_all()


def main():
    mount, plain, seed, total, crash_every = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    os.umask(0o022)
    draw = Draw(seed, os.geteuid() == 0)
    done = crashes = 0
    next_crash = crash_every
    while done < total:
        epoch = Epoch(mount, plain, draw, '%04d' % (done // EPOCH))
        is_dying = False
        for index in range(min(EPOCH, total - done)):
            if index % 20 == 0:
                draw.learn(epoch.plain.paths())
            if crash_every > 0 and done >= next_crash and not is_dying:
                crashes += 1
                # Between operations, or during one.
                is_dying = crashes % 3 > 0
                if not is_dying:
                    tell({'crash': 0, 'wait': True})
                    sys.stdin.readline()
                    epoch.recover(None)
                    next_crash = done + crash_every
                else:
                    tell({'crash': draw.random.random() * 40})
            operation = draw.operation(atomic=is_dying)
            if not epoch.step(operation):
                if not is_dying:
                    fail('dead', epoch=epoch.name, operation=operation, history=epoch.history[-12:])
                epoch.recover(operation)
                is_dying = False
                next_crash = done + crash_every
                draw.learn(epoch.plain.paths())
            done += 1
            if index % COMPARE_EVERY == COMPARE_EVERY - 1 and not is_dying:
                epoch.compare(index)
        while is_dying:
            operation = draw.operation(atomic=True)
            if not epoch.step(operation):
                epoch.recover(operation)
                is_dying = False
                next_crash = done + crash_every
        for side in (epoch.mount, epoch.plain):
            side.close_all()
        epoch.compare('end')
        tell({'progress': done, 'crashes': crashes})
    tell({'done': done, 'crashes': crashes})


main()
