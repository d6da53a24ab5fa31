// What a kernel does for its callers, for tests that drive a filesystem without one: paths, references, open files.
import { constants } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type {
  AttributeChanges,
  Attributes,
  CallContext,
  Entry,
  FilePosition,
  Filesystem,
} from '../../src/fuse/filesystem.ts';
import { type CallContextOptions, createCallContext } from './call-context.ts';

/** Inode number of the root. */
export const ROOT = 1;

/** One entry of a listing. */
export interface ListedEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  readonly offset: number;
  /** With `readdirplus`, where the filesystem offered them. */
  readonly attributes?: Attributes;
}

/** How to list. */
export interface ListOptions {
  readonly offset?: number;
  /** Entries that the sink takes before it is full. */
  readonly limit?: number;
  readonly plus?: boolean;
}

/** Drives a filesystem by path (latin1, no leading slash, `''` is the root) and counts the references it is given. */
export class FilesystemClient {
  readonly filesystem: Filesystem;
  readonly #caller: CallContextOptions;
  readonly #references: Map<number, number>;
  /** Inode numbers of open files, by handle. */
  readonly #open: Map<number, number>;

  constructor(filesystem: Filesystem, caller: CallContextOptions = {}, shared?: FilesystemClient) {
    this.filesystem = filesystem;
    this.#caller = caller;
    this.#references = shared === undefined ? new Map<number, number>() : shared.#references;
    this.#open = shared === undefined ? new Map<number, number>() : shared.#open;
  }

  /** The caller, anew for each call, as each request of a kernel can be interrupted by itself. */
  get ctx(): CallContext {
    return createCallContext(this.#caller);
  }

  /** The same client for another caller. */
  as(caller: CallContextOptions): FilesystemClient {
    return new FilesystemClient(this.filesystem, caller, this);
  }

  /** Counts the reference that comes with an entry. */
  count(entry: Entry): Attributes {
    const { ino } = entry.attributes;
    this.#references.set(ino, (this.#references.get(ino) ?? 0) + 1);
    return entry.attributes;
  }

  /** References held to an inode. */
  references(ino: number): number {
    return this.#references.get(ino) ?? 0;
  }

  /** Gives all references to one inode back. */
  forget(ino: number): void {
    const count = this.references(ino);
    this.#references.delete(ino);
    if (count > 0) this.filesystem.forget(ino, count);
  }

  /** Closes what is open and gives everything back. */
  forgetAll(): void {
    for (const fh of this.#open.keys()) this.filesystem.release(fh);
    this.#open.clear();
    for (const ino of this.#references.keys()) this.forget(ino);
  }

  async lookup(parent: number, name: string): Promise<Attributes> {
    return this.count(await this.filesystem.lookup(parent, name, this.ctx));
  }

  /** Inode number of the object at a path. */
  async resolve(path: string): Promise<number> {
    let ino = ROOT;
    for (const name of path.split('/')) {
      if (name !== '') ino = (await this.lookup(ino, name)).ino;
    }
    return ino;
  }

  /** Folder and last name of a path. */
  async parent(path: string): Promise<[folder: number, name: string]> {
    const slash = path.lastIndexOf('/');
    return [await this.resolve(path.slice(0, Math.max(0, slash))), path.slice(slash + 1)];
  }

  async getattr(ino: number, fh?: number): Promise<Attributes> {
    return { ...(await this.filesystem.getattr(ino, fh, this.ctx)) };
  }

  /** Attributes of a path; what `lookup` says and what `getattr` says must agree. */
  async stat(path: string): Promise<Attributes> {
    if (path === '') return this.getattr(ROOT);
    const [folder, name] = await this.parent(path);
    const found = { ...(await this.lookup(folder, name)) };
    const attributes = await this.getattr(found.ino);
    if (!isDeepStrictEqual(found, attributes)) {
      throw new Error(
        `lookup of ${path} gives ${JSON.stringify(found)}, getattr ${JSON.stringify(attributes)}`,
      );
    }
    return attributes;
  }

  async exists(path: string): Promise<boolean> {
    try {
      await this.resolve(path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  async setattr(path: string, changes: AttributeChanges): Promise<Attributes> {
    return { ...(await this.filesystem.setattr(await this.resolve(path), changes, this.ctx)) };
  }

  async mkdir(path: string, mode = 0o755): Promise<Attributes> {
    const [folder, name] = await this.parent(path);
    return this.count(await this.filesystem.mkdir(folder, name, mode, this.ctx));
  }

  async mknod(path: string, mode: number, rdev = 0): Promise<Attributes> {
    const [folder, name] = await this.parent(path);
    return this.count(await this.filesystem.mknod(folder, name, mode, rdev, this.ctx));
  }

  async symlink(target: string, path: string): Promise<Attributes> {
    const [folder, name] = await this.parent(path);
    return this.count(await this.filesystem.symlink(folder, name, Buffer.from(target, 'latin1'), this.ctx));
  }

  async readlink(path: string): Promise<string> {
    return (await this.filesystem.readlink(await this.resolve(path), this.ctx)).toString('latin1');
  }

  async link(existing: string, path: string): Promise<Attributes> {
    const ino = await this.resolve(existing);
    const [folder, name] = await this.parent(path);
    return this.count(await this.filesystem.link(ino, folder, name, this.ctx));
  }

  async unlink(path: string): Promise<void> {
    const [folder, name] = await this.parent(path);
    await this.filesystem.unlink(folder, name, this.ctx);
  }

  async rmdir(path: string): Promise<void> {
    const [folder, name] = await this.parent(path);
    await this.filesystem.rmdir(folder, name, this.ctx);
  }

  /** Removes whatever is there, folders with all that is in them. */
  async remove(path: string): Promise<void> {
    for (const entry of await this.list(path)) await this.#removeEntry(`${path}/${entry.name}`, entry.type);
    await this.rmdir(path);
  }

  async #removeEntry(path: string, type: number): Promise<void> {
    if (type === constants.S_IFDIR) await this.remove(path);
    else await this.unlink(path);
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    const [folder, name] = await this.parent(from);
    const [newFolder, newName] = await this.parent(to);
    await this.filesystem.rename(folder, name, newFolder, newName, flags, this.ctx);
  }

  /** Opens an existing file; returns the handle. */
  async open(path: string, flags: number = constants.O_RDONLY): Promise<number> {
    const ino = await this.resolve(path);
    const { fh } = await this.filesystem.open(ino, flags, this.ctx);
    this.#open.set(fh, ino);
    return fh;
  }

  async create(
    path: string,
    options: { mode?: number; flags?: number } = {},
  ): Promise<{ fh: number; attributes: Attributes }> {
    const [folder, name] = await this.parent(path);
    const flags = options.flags ?? constants.O_RDWR;
    const { entry, file } = await this.filesystem.create(
      folder,
      name,
      options.mode ?? 0o644,
      flags,
      this.ctx,
    );
    this.#open.set(file.fh, entry.attributes.ino);
    return { fh: file.fh, attributes: this.count(entry) };
  }

  async tmpfile(folder: string, mode = 0o644): Promise<{ fh: number; attributes: Attributes }> {
    const parent = await this.resolve(folder);
    const { entry, file } = await this.filesystem.tmpfile(parent, mode, constants.O_RDWR, this.ctx);
    this.#open.set(file.fh, entry.attributes.ino);
    return { fh: file.fh, attributes: this.count(entry) };
  }

  /** The inode that a handle is of; some inode for a handle that was never given out. */
  inodeOf(fh: number): number {
    return this.#open.get(fh) ?? ROOT;
  }

  close(fh: number): void {
    this.#open.delete(fh);
    this.filesystem.release(fh);
  }

  /** Everything that a handle reads from `position` on, at most `length` bytes. */
  async read(fh: number, position = 0, length: number = 2 ** 20): Promise<Buffer> {
    const target = Buffer.alloc(length);
    return target.subarray(0, await this.filesystem.read(this.inodeOf(fh), fh, target, position, this.ctx));
  }

  async write(fh: number, data: string | Uint8Array, position = 0, options = 0): Promise<number> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    return this.filesystem.write(this.inodeOf(fh), fh, bytes, position, options, this.ctx);
  }

  async fsync(fh: number, dataOnly = false): Promise<void> {
    await this.filesystem.fsync(this.inodeOf(fh), fh, dataOnly, this.ctx);
  }

  async fallocate(fh: number, mode: number, offset: number, length: number): Promise<void> {
    await this.filesystem.fallocate(this.inodeOf(fh), fh, mode, offset, length, this.ctx);
  }

  async lseek(fh: number, offset: number, whence: number): Promise<number> {
    return this.filesystem.lseek(this.inodeOf(fh), fh, offset, whence, this.ctx);
  }

  /** Copies between two open files, each with an offset. */
  async copyFileRange(
    from: readonly [fh: number, offset: number],
    to: readonly [fh: number, offset: number],
    length: number,
  ): Promise<number> {
    const [source, target] = [from, to].map(([fh, offset]) => ({ ino: this.inodeOf(fh), fh, offset })) as [
      FilePosition,
      FilePosition,
    ];
    return this.filesystem.copyFileRange(source, target, length, this.ctx);
  }

  async readFile(path: string): Promise<Buffer> {
    const fh = await this.open(path);
    try {
      return await this.read(fh, 0, (await this.getattr(await this.resolve(path))).size + 1);
    } finally {
      this.close(fh);
    }
  }

  async readText(path: string): Promise<string> {
    return (await this.readFile(path)).toString('latin1');
  }

  /** Makes the file or empties it, then writes. */
  async writeFile(path: string, data: string | Uint8Array, mode = 0o644): Promise<void> {
    const fh = (await this.exists(path))
      ? await this.open(path, constants.O_WRONLY | constants.O_TRUNC)
      : (await this.create(path, { mode, flags: constants.O_WRONLY })).fh;
    try {
      await this.write(fh, data);
    } finally {
      this.close(fh);
    }
  }

  async append(path: string, data: string): Promise<void> {
    const fh = await this.open(path, constants.O_WRONLY | constants.O_APPEND);
    try {
      await this.write(fh, data);
    } finally {
      this.close(fh);
    }
  }

  /** One call of `readdir` or `readdirplus`. */
  async readdirOnce(ino: number, options: ListOptions = {}): Promise<ListedEntry[]> {
    const limit = options.limit ?? Infinity;
    const found: ListedEntry[] = [];
    const sink = {
      add: (name: string, entryIno: number, type: number, offset: number): boolean => {
        if (found.length >= limit) return false;
        found.push({ name, ino: entryIno, type, offset });
        return true;
      },
      addEntry: (name: string, entry: Entry, offset: number): boolean => {
        if (found.length >= limit) return false;
        const attributes = this.count(entry);
        found.push({
          name,
          ino: attributes.ino,
          type: attributes.mode & constants.S_IFMT,
          offset,
          attributes,
        });
        return true;
      },
    };
    if (options.plus === true) await this.filesystem.readdirplus(ino, options.offset ?? 0, sink, this.ctx);
    else await this.filesystem.readdir(ino, options.offset ?? 0, sink, this.ctx);
    return found;
  }

  /** The whole folder, in as many calls as the limit demands, without `.` and `..`. */
  async list(path: string, options: ListOptions = {}): Promise<ListedEntry[]> {
    const ino = await this.resolve(path);
    const all: ListedEntry[] = [];
    for (let offset = options.offset ?? 0; ;) {
      const part = await this.readdirOnce(ino, { ...options, offset });
      const last = part.at(-1);
      if (last === undefined) break;
      all.push(...part);
      offset = last.offset;
    }
    return all.filter(({ name }) => name !== '.' && name !== '..');
  }

  /** Names of a folder, sorted. */
  async names(path: string, options: ListOptions = {}): Promise<string[]> {
    return (await this.list(path, options)).map(({ name }) => name).sort();
  }

  async getxattr(path: string, name: string): Promise<Buffer> {
    return this.filesystem.getxattr(await this.resolve(path), name, this.ctx);
  }

  async listxattr(path: string): Promise<string[]> {
    return [...(await this.filesystem.listxattr(await this.resolve(path), this.ctx))].sort();
  }

  async setxattr(path: string, name: string, value: string | Buffer, flags = 0): Promise<void> {
    await this.filesystem.setxattr(await this.resolve(path), name, Buffer.from(value), flags, this.ctx);
  }

  async removexattr(path: string, name: string): Promise<void> {
    await this.filesystem.removexattr(await this.resolve(path), name, this.ctx);
  }
}
