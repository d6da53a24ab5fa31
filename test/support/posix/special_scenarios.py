# Fifos, sockets, devices, notification, chroot, and calls on the whole filesystem.
import ctypes, os, select, socket, stat, struct, time
from harness import *


@scenario
def fifos(t):
    os.mkfifo('fifo')
    t.do('open for writing without a reader', os.open, 'fifo', os.O_WRONLY | os.O_NONBLOCK)
    reader = os.open('fifo', os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open('fifo', os.O_WRONLY)
    t.do('write', os.write, writer, b'through')
    t.do('read', os.read, reader, 20)
    t.do('seek', os.lseek, reader, 0, 0)
    t.do('pread', os.pread, reader, 1, 0)
    t.do('fsync', os.fsync, writer)
    t.do('truncate', os.ftruncate, writer, 0)
    t.do('copy_file_range', lambda: os.copy_file_range(reader, writer, 1))
    os.close(writer)
    t.do('end', os.read, reader, 20)
    os.close(reader)
    os.rename('fifo', 'd/fifo')
    t.effects('chmod', ('d/fifo', 'd'), os.chmod, 'd/fifo', 0o600)
    t.note('stat', look('d/fifo'))


@scenario
def sockets(t):
    server = socket.socket(socket.AF_UNIX)
    t.do('bind', server.bind, 'socket')
    t.do('bind again', socket.socket(socket.AF_UNIX).bind, 'socket')
    t.do('connect before listen', socket.socket(socket.AF_UNIX).connect, 'socket')
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    t.do('connect', client.connect, 'socket')
    peer = server.accept()[0]
    client.send(b'hello')
    t.note('received', peer.recv(10))
    t.do('open', os.open, 'socket', os.O_RDWR)
    t.note('stat', look('socket'))
    os.rename('socket', 'd/socket')
    t.do('connect after rename', socket.socket(socket.AF_UNIX).connect, 'd/socket')
    t.do('connect to a file', socket.socket(socket.AF_UNIX).connect, 'f')
    for one in (server, client, peer):
        one.close()


@scenario
def nodes(t):
    for label, mode, device in (('fifo', stat.S_IFIFO | 0o640, 0), ('socket', stat.S_IFSOCK | 0o640, 0), ('file', stat.S_IFREG | 0o640, 0), ('none', 0o640, 0), ('folder', stat.S_IFDIR | 0o700, 0), ('symlink', stat.S_IFLNK | 0o777, 0),
                                ('bad type', 0o170000 | 0o600, 0), ('char', stat.S_IFCHR | 0o600, os.makedev(1, 3)), ('block', stat.S_IFBLK | 0o600, os.makedev(7, 300)), ('large', stat.S_IFCHR | 0o600, os.makedev(4000, 1_000_000))):
        t.do('mknod ' + label, os.mknod, 'node-' + label, mode, device)
    t.do('existing', os.mknod, 'f', stat.S_IFREG | 0o600)
    t.do('below a file', os.mknod, 'f/x', stat.S_IFREG | 0o600)
    t.note('left', tree('.'))


@scenario
def notification(t):
    fd = call('inotify_init1', os.O_NONBLOCK)
    watch = call('inotify_add_watch', fd, b'd', 0xfff)
    call('inotify_add_watch', fd, b'f', 0xfff)
    put('d/new', b'1')
    os.rename('d/new', 'd/newer')
    os.chmod('d/newer', 0o600)
    os.unlink('d/newer')
    os.mkdir('d/folder')
    os.rmdir('d/folder')
    with_fd('f', os.O_WRONLY, lambda own: os.write(own, b'1'))
    os.truncate('f', 2)
    os.rename('f', 'd/f')
    os.unlink('d/f')
    data, events = b'', []
    while True:
        try:
            data += os.read(fd, 65536)
        except BlockingIOError:
            break
    at = 0
    while at < len(data):
        wd, mask, _, length = struct.unpack_from('iIII', data, at)
        events.append([wd == watch, hex(mask), data[at + 16:at + 16 + length].rstrip(b'\0')])
        at += 16 + length
    t.note('events', events)
    os.close(fd)


@scenario
def syncing(t):
    with_fd('f', os.O_RDWR, lambda fd: [t.do('fsync', os.fsync, fd), t.do('fdatasync', os.fdatasync, fd), t.do('syncfs', lambda: call('syncfs', fd)), t.do('sync_file_range', lambda: call('sync_file_range', fd, ctypes.c_int64(0), ctypes.c_int64(10), 7)),
                                        t.do('fadvise', os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_DONTNEED), t.do('readahead', lambda: call('readahead', fd, ctypes.c_int64(0), 4096))])
    with_fd('d', os.O_RDONLY, lambda fd: [t.do('fsync of a folder', os.fsync, fd), t.do('syncfs', lambda: call('syncfs', fd))])


@scenario
def polling(t):
    fd = os.open('f', os.O_RDWR)
    t.do('poll', lambda: select.poll().poll(0))
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLOUT | select.POLLPRI)
    t.note('events', [event for _, event in poller.poll(100)])
    os.close(fd)


@scenario
def root_chroot(t):
    def child():
        os.chroot('d')
        os.chdir('/')
        put('/inside', b'1')
        if os.listdir('/') == [] or os.path.exists('/../f'):
            return 200
        os.rename('/inside', '/b/inside')
        return 0
    t.note('chroot', t.child(child))
    t.do('chroot to a file', os.chroot, 'f')
    t.note('left', tree('.'))
