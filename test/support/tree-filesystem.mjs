// A small filesystem in memory: what the tests of the kernel binding mount. It implements src/fuse/filesystem.ts,
// leaves out what those tests do not use, and has a few files that misbehave on purpose.
//   stuck   open waits until the caller is interrupted
//   slow    every call on it answers with a promise, a little later
//   broken  reading it throws an error that no errno stands for
import { setTimeout as delay } from 'node:timers/promises';
import { ErrnoError } from '../../dist/util/errno.js';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const SLOW_MS = 20;
const EMPTY = Buffer.alloc(0);

const fail = (errno) => {
  throw new ErrnoError(errno);
};

/** Makes the filesystem. `ttl` is how long the kernel may keep everything, in seconds. */
export function createTreeFilesystem({ ttl = 1, notifier } = {}) {
  const nodes = new Map();
  const handles = new Map();
  const forgotten = { references: 0 };
  let lastIno = 0;
  let lastHandle = 0;

  const node = (ino) => nodes.get(ino) ?? fail('ESTALE');
  const folder = (ino) => (node(ino).children ? node(ino) : fail('ENOTDIR'));
  const child = (parent, name) => folder(parent).children.get(name) ?? fail('ENOENT');
  const handle = (fh) => handles.get(fh) ?? fail('EBADF');
  const later = (name, answer) => (name === 'slow' ? delay(SLOW_MS).then(answer) : answer());

  const make = (parent, name, mode, { uid, gid }, more) => {
    const siblings = parent === 0 ? undefined : folder(parent).children;
    if (siblings?.has(name)) fail('EEXIST');
    const ino = ++lastIno;
    const now = Date.now() / 1000;
    const kind = (mode & S_IFMT) === S_IFDIR ? { children: new Map(), parent } : { data: EMPTY, size: 0 };
    nodes.set(ino, {
      ino,
      name,
      mode,
      uid,
      gid,
      nlink: 1,
      rdev: 0,
      atime: now,
      mtime: now,
      xattrs: new Map(),
      ...kind,
      ...more,
    });
    siblings?.set(name, ino);
    return ino;
  };
  const attributes = (ino) => {
    const { mode, nlink, uid, gid, rdev, size = 0, atime, mtime } = node(ino);
    const seconds = Math.floor(mtime);
    const mtimeNsec = Math.round((mtime - seconds) * 1e9);
    return {
      ino,
      mode,
      nlink,
      uid,
      gid,
      rdev,
      size,
      blocks: Math.ceil(size / 512),
      blksize: 4096,
      atime: Math.floor(atime),
      atimeNsec: 0,
      mtime: seconds,
      mtimeNsec,
      ctime: seconds,
      ctimeNsec: mtimeNsec,
    };
  };
  const entry = (ino) => ({ attributes: attributes(ino), entryTtl: ttl, attributesTtl: ttl });
  const open = (ino, flags = 0) => {
    if (flags & O_TRUNC) resize(node(ino), 0);
    handles.set(++lastHandle, { ino, append: (flags & O_APPEND) !== 0 });
    return { fh: lastHandle, keepCache: true };
  };
  const resize = (file, size) => {
    if (size > file.data.length) file.data = Buffer.concat([file.data], Math.max(size, file.data.length * 2));
    if (size < file.size) file.data.fill(0, size, file.size);
    file.size = size;
    file.mtime = Date.now() / 1000;
  };
  const list = (ino, offset, add) => {
    const { children, parent } = folder(ino);
    const names = ['.', '..', ...children.keys()];
    for (let at = offset; at < names.length; at++) {
      const own = at === 0 ? ino : at === 1 ? parent || ino : children.get(names[at]);
      if (!add(names[at], own, at + 1, at < 2)) return;
    }
  };

  make(0, '', S_IFDIR | 0o755, { uid: process.getuid(), gid: process.getgid() });
  for (const name of ['stuck', 'slow', 'broken']) make(1, name, S_IFREG | 0o644, nodes.get(1));
  Object.assign(node(child(1, 'broken')), { size: 1 });

  return {
    /** For the tests: puts a file or folder there without any request. */
    plant: (parent, name, content) => {
      const ino = make(parent, name, content === undefined ? S_IFDIR | 0o755 : S_IFREG | 0o644, nodes.get(1));
      if (content !== undefined) Object.assign(node(ino), { data: content, size: content.length });
      return ino;
    },
    /** For the tests: changes a file behind the kernel's back, then tells it. */
    rewrite: (ino, content) => {
      Object.assign(node(ino), { data: content, size: content.length });
      notifier.invalidateInode(ino, 0, 0);
    },
    /** For the tests: takes a name away behind the kernel's back, then tells it. */
    drop: (name) => {
      folder(1).children.delete(name);
      notifier.invalidateEntry(1, name);
    },
    forgotten,
    handles,

    negativeTtl: ttl,
    attributesTtl: ttl,
    lookup: (parent, name) => later(name, () => entry(child(parent, name))),
    forget: (_ino, count) => {
      forgotten.references += count;
    },
    getattr: (ino) => attributes(ino),
    setattr: (ino, changes) => {
      const it = node(ino);
      if (changes.uid !== undefined || changes.gid !== undefined || changes.clearSetId) it.mode &= ~0o6000;
      if (changes.mode !== undefined) it.mode = (it.mode & S_IFMT) | changes.mode;
      it.uid = changes.uid ?? it.uid;
      it.gid = changes.gid ?? it.gid;
      if (changes.size !== undefined) resize(it, changes.size);
      const time = (value) => (value === 'now' ? Date.now() / 1000 : value.seconds + value.nanoseconds / 1e9);
      if (changes.atime) it.atime = time(changes.atime);
      if (changes.mtime) it.mtime = time(changes.mtime);
      return attributes(ino);
    },
    readlink: (ino) => node(ino).target ?? fail('EINVAL'),
    mknod: (parent, name, mode, rdev, ctx) => entry(make(parent, name, mode, ctx, { rdev })),
    mkdir: (parent, name, mode, ctx) => entry(make(parent, name, S_IFDIR | mode, ctx)),
    symlink: (parent, name, target, ctx) =>
      entry(make(parent, name, S_IFLNK | 0o777, ctx, { target, size: target.length })),
    link: (ino, parent, name) => {
      folder(parent).children.set(name, ino);
      node(ino).nlink++;
      return entry(ino);
    },
    unlink: (parent, name) => {
      node(child(parent, name)).nlink--;
      folder(parent).children.delete(name);
    },
    rmdir: (parent, name) => {
      if (folder(child(parent, name)).children.size > 0) fail('ENOTEMPTY');
      folder(parent).children.delete(name);
    },
    rename: (parent, name, newParent, newName, flags) => {
      const ino = child(parent, name);
      if (flags & 1 && folder(newParent).children.has(newName)) fail('EEXIST');
      folder(parent).children.delete(name);
      folder(newParent).children.set(newName, ino);
    },
    open: (ino, flags, ctx) => {
      if (node(ino).name !== 'stuck') return later(node(ino).name, () => open(ino, flags));
      return new Promise((_, reject) => {
        // Asked for late on purpose: an interrupt that came first must still be seen.
        setTimeout(() => {
          const stop = () => reject(new ErrnoError('EINTR'));
          if (ctx.signal.aborted) stop();
          else ctx.signal.addEventListener('abort', stop);
        }, SLOW_MS);
      });
    },
    create: (parent, name, mode, flags, ctx) => {
      const ino = make(parent, name, S_IFREG | mode, ctx);
      return { entry: entry(ino), file: open(ino, flags) };
    },
    read: (_ino, fh, target, position) => {
      const { name, data, size } = node(handle(fh).ino);
      if (name === 'broken') throw new TypeError('broken on purpose');
      return later(name, () => data.copy(target, 0, position, Math.min(size, position + target.length)));
    },
    write: (_ino, fh, data, position) => {
      const { ino, append } = handle(fh);
      const file = node(ino);
      return later(file.name, () => {
        const at = append ? file.size : position;
        if (at + data.length > file.size) resize(file, at + data.length);
        file.data.set(data, at);
        return data.length;
      });
    },
    fsync: () => undefined,
    fallocate: () => fail('EOPNOTSUPP'),
    lseek: (_ino, fh, offset, whence) => {
      const { size } = node(handle(fh).ino);
      if (offset >= size) fail('ENXIO');
      return whence === 3 ? offset : size;
    },
    copyFileRange: () => fail('ENOSYS'),
    release: (fh) => handles.delete(fh),
    readdir: (ino, offset, sink) =>
      list(ino, offset, (name, own, next) => sink.add(name, own, node(own).mode & S_IFMT, next)),
    readdirplus: (ino, offset, sink) =>
      list(ino, offset, (name, own, next, isDot) =>
        isDot ? sink.add(name, own, S_IFDIR, next) : sink.addEntry(name, entry(own), next),
      ),
    fsyncdir: () => undefined,
    getxattr: (ino, name) => node(ino).xattrs.get(name) ?? fail('ENODATA'),
    listxattr: (ino) => [...node(ino).xattrs.keys()],
    setxattr: (ino, name, value) => void node(ino).xattrs.set(name, value),
    removexattr: (ino, name) => void (node(ino).xattrs.delete(name) || fail('ENODATA')),
    statfs: () => ({
      blockSize: 4096,
      blocks: 1000,
      blocksFree: 500,
      blocksAvailable: 400,
      files: nodes.size,
      filesFree: 77,
      nameMax: 255,
    }),
    destroy: () => undefined,
  };
}
