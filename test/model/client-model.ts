// Runs the operations of the models on a filesystem without a kernel.
import { constants } from 'node:fs';
import { outcome as errnoOf, treeState, type ObjectState } from '../support/filesystem-assertions.ts';
import type { FilesystemClient } from '../support/filesystem-client.ts';
import type { ExistingPaths, Operation, Outcome } from './operations.ts';

const openFlags = {
  r: constants.O_RDONLY,
  'r+': constants.O_RDWR,
  w: constants.O_WRONLY | constants.O_TRUNC,
  a: constants.O_WRONLY | constants.O_APPEND,
};

/** A filesystem and the handles that operations opened on it. */
export class ClientModel {
  #client: FilesystemClient;
  readonly #reopen: (() => Promise<FilesystemClient>) | undefined;
  readonly #slots = new Map<number, { fh: number; ino: number; mode: 'r' | 'r+' | 'w' | 'a' }>();

  /** `reopen` closes and opens the filesystem again; without it, everything is just given back. */
  constructor(client: FilesystemClient, reopen?: () => Promise<FilesystemClient>) {
    this.#client = client;
    this.#reopen = reopen;
  }

  get client(): FilesystemClient {
    return this.#client;
  }

  async run(operation: Operation): Promise<Outcome> {
    let value: unknown;
    const errno = await errnoOf(async () => {
      value = await this.#perform(operation);
    });
    return errno === 'success' ? { value: value ?? null } : { errno };
  }

  /** The whole tree, without times, which cannot be equal. */
  async tree(): Promise<Record<string, Omit<ObjectState, 'mtime'>>> {
    const state = await treeState(this.#client);
    return Object.fromEntries(
      Object.entries(state).map(([path, { mtime: _mtime, ...rest }]) => [path, rest]),
    );
  }

  /** What is there, for drawing from it. */
  async paths(): Promise<ExistingPaths> {
    const files: string[] = [];
    const folders: string[] = [];
    const walk = async (folder: string): Promise<void> => {
      for (const { name, type } of await this.#client.list(folder)) {
        const path = folder === '' ? name : `${folder}/${name}`;
        (type === constants.S_IFDIR ? folders : files).push(path);
        if (type === constants.S_IFDIR) await walk(path);
      }
    };
    await walk('');
    return { files: files.sort(), folders: folders.sort() };
  }

  async #perform(operation: Operation): Promise<unknown> {
    switch (operation.op) {
      case 'open':
      case 'readHandle':
      case 'statHandle':
      case 'writeHandle':
      case 'truncateHandle':
      case 'close':
        return this.#performOnHandle(operation);
      case 'reopen':
        this.#slots.clear();
        this.#client.forgetAll();
        if (this.#reopen !== undefined) this.#client = await this.#reopen();
        return null;
      case 'create':
      case 'write':
      case 'append':
      case 'read':
        return this.#performOnContent(operation);
      default:
        return this.#performOnTree(operation);
    }
  }

  async #performOnContent(
    operation: Extract<Operation, { op: 'create' | 'write' | 'append' | 'read' }>,
  ): Promise<unknown> {
    const fs = this.#client;
    const { path } = operation;
    if (operation.op === 'create') {
      if (operation.exclusive || !(await fs.exists(path))) {
        fs.close(
          (await fs.create(path, { mode: operation.mode, flags: constants.O_RDWR | constants.O_EXCL })).fh,
        );
      }
      return null;
    }
    if (await this.#isSpecial(path)) return 'special';
    if (operation.op === 'read') return fs.readText(path);
    const flags = operation.op === 'append' ? openFlags.a : constants.O_WRONLY;
    const fh = await fs.open(path, flags);
    try {
      return await fs.write(fh, operation.data, operation.op === 'append' ? 0 : operation.position);
    } finally {
      fs.close(fh);
    }
  }

  /** The kernel opens fifos itself, and follows symlinks. */
  async #isSpecial(path: string): Promise<boolean> {
    const type = (await this.#client.stat(path)).mode & constants.S_IFMT;
    return type === constants.S_IFIFO || type === constants.S_IFLNK;
  }

  async #performOnTree(
    operation: Exclude<
      Operation,
      { op: 'reopen' | 'create' | 'write' | 'append' | 'read' } | { slot: number }
    >,
  ): Promise<unknown> {
    const fs = this.#client;
    const { path } = operation;
    switch (operation.op) {
      case 'truncate':
        return (await fs.setattr(path, { size: operation.size })).size;
      case 'list':
        return (await fs.list(path, { limit: 3 })).map(({ name, type }) => `${name} ${type}`).sort();
      case 'stat':
        return describe(await fs.stat(path));
      case 'readlink':
        return fs.readlink(path);
      case 'unlink':
        return fs.unlink(path);
      case 'rmdir':
        return fs.rmdir(path);
      case 'removeTree':
        return fs.remove(path);
      case 'mkfifo':
        return describe(await fs.mknod(path, constants.S_IFIFO | 0o644));
      case 'mkdir':
        return describe(await fs.mkdir(path, operation.mode));
      case 'chmod':
        return (await fs.setattr(path, { mode: operation.mode })).mode;
      case 'rename':
        return fs.rename(path, operation.to, operation.flags);
      case 'link':
        return (await fs.link(path, operation.to)).nlink;
      case 'symlink':
        return describe(await fs.symlink(operation.target, path));
      case 'utimes': {
        const time = { seconds: operation.seconds, nanoseconds: 5 };
        return (await fs.setattr(path, { atime: time, mtime: time })).mtime;
      }
      case 'setxattr':
        // The kernel refuses attributes of users on anything but files and folders.
        if (await this.#refusesXattrs(path)) return 'refused';
        return fs.setxattr(path, operation.name, operation.data, operation.flags);
      case 'removexattr':
        if (await this.#refusesXattrs(path)) return 'refused';
        return fs.removexattr(path, operation.name);
    }
  }

  async #refusesXattrs(path: string): Promise<boolean> {
    const type = (await this.#client.stat(path)).mode & constants.S_IFMT;
    return type !== constants.S_IFREG && type !== constants.S_IFDIR;
  }

  async #performOnHandle(operation: Extract<Operation, { slot: number }>): Promise<unknown> {
    const fs = this.#client;
    if (operation.op === 'open') {
      if (this.#slots.has(operation.slot)) return 'in use';
      if (await this.#isSpecial(operation.path)) return 'special';
      const ino = await fs.resolve(operation.path);
      const fh = await fs.open(operation.path, openFlags[operation.mode]);
      this.#slots.set(operation.slot, { fh, ino, mode: operation.mode });
      return null;
    }
    const handle = this.#slots.get(operation.slot);
    if (handle === undefined) return 'not open';
    const { fh, ino, mode } = handle;
    switch (operation.op) {
      case 'readHandle':
        return mode === 'r' || mode === 'r+' ? (await fs.read(fh)).toString('latin1') : 'not readable';
      case 'statHandle':
        return describe(await fs.getattr(ino, fh));
      case 'writeHandle':
        return mode === 'r' ? 'not writable' : fs.write(fh, operation.data, operation.position);
      case 'truncateHandle':
        if (mode === 'r') return 'not writable';
        return (await fs.filesystem.setattr(ino, { size: operation.size, fh }, fs.ctx)).size;
      case 'close':
        this.#slots.delete(operation.slot);
        fs.close(fh);
        return null;
    }
  }
}

/** What must be equal of the attributes of an object. */
function describe(attributes: {
  mode: number;
  nlink: number;
  size: number;
  uid: number;
  gid: number;
}): string {
  const { mode, nlink, size, uid, gid } = attributes;
  const isFolder = (mode & constants.S_IFMT) === constants.S_IFDIR;
  const counted = isFolder ? (nlink === 0 ? ' removed' : '') : ` ${nlink} ${size}`;
  return `${mode.toString(8)} ${uid}:${gid}${counted}`;
}
