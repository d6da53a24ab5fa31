// What all operations of the overlay share: the inodes, and how names are found in the two layers.
import { constants } from 'node:fs';
import type { Attributes, CallContext, Entry, KernelNotifier } from '../fuse/filesystem.ts';
import type { Layer, LayerEntry, Listing } from '../layers/layer.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { readDirectory, statAt, statIfPresent, type Stat } from '../util/syscall.ts';
import { DirectoryView } from './directory-view.ts';
import { type DirectoryState, Inode } from './inode.ts';
import { lowerIno, upperIno } from './inode-numbers.ts';
import { isWhiteout } from './overlay-format.ts';
import { need } from './pending.ts';
import type { UpperLayer } from './upper.ts';

/** Nobody but the kernel changes a mount, so what it learned holds until it is told otherwise. In seconds. */
export const TTL_SECONDS = 1_000_000_000;

const { S_IFMT, S_IFDIR } = constants;

/** Who owns what the lower layer provides. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The state of one overlay. */
export class OverlayCore {
  readonly layer: Layer;
  readonly upper: UpperLayer;
  readonly owner: Owner;
  readonly notifier: KernelNotifier | undefined;
  /** Whether this process may give files to other users. */
  readonly mayChown: boolean = process.geteuid?.() === 0;
  /** Copies of content that are under way. */
  readonly copyUps: Set<Promise<void>> = new Set<Promise<void>>();
  /** Aborted when the overlay ends. */
  readonly closing: AbortController = new AbortController();
  readonly #inodes = new Map<number, Inode>();
  /** Upper objects with several names, by their inode number there: other names must find the same inode. */
  readonly #hardLinks = new Map<number, Inode>();

  constructor(layer: Layer, upper: UpperLayer, owner: Owner, notifier: KernelNotifier | undefined) {
    this.layer = layer;
    this.upper = upper;
    this.owner = owner;
    this.notifier = notifier;
    const root = new Inode(1, S_IFDIR, { parent: undefined, name: '', lower: layer.root, upper: true });
    if (upper.format.read(upper.folder(root), '').opaque) root.lower = undefined;
    root.lookups = 1;
    this.#inodes.set(1, root);
  }

  inode(ino: number): Inode {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) throw new ErrnoError('ESTALE');
    return inode;
  }

  /** A folder that still exists. */
  directory(ino: number): Inode {
    const inode = this.inode(ino);
    if (inode.directory === undefined) throw new ErrnoError('ENOTDIR');
    if (inode.parent === undefined && ino !== 1) throw new ErrnoError('ENOENT');
    return inode;
  }

  /** The lower layer's entries of a folder, if it has a lower part. */
  listing(inode: Inode, ctx: CallContext): Listing | undefined {
    const directory = inode.directory as DirectoryState;
    if (inode.lower === undefined) return undefined;
    if (directory.listing === undefined) {
      // Kept as it comes, since a layer may be unable to keep it.
      need(
        chain(this.layer.list(inode.lower, ctx), (listing) => {
          directory.listing = listing;
        }),
      );
    }
    return directory.listing;
  }

  /** Whether the lower layer has something under the name, which the upper layer must hide. */
  hasLower(inode: Inode, name: string, ctx: CallContext): boolean {
    return this.listing(inode, ctx)?.get(name) !== undefined;
  }

  /** The object under a name, or undefined. */
  child(parent: Inode, name: string, ctx: CallContext): Inode | undefined {
    const directory = parent.directory as DirectoryState;
    const known = directory.children.get(name);
    if (known !== undefined) return known;
    if (name.length > 255) throw new ErrnoError('ENAMETOOLONG');
    if (parent.upper && (directory.upperNames?.has(name) ?? true)) {
      const stat = statIfPresent(this.upper.folder(parent), name);
      if (stat !== undefined) return isWhiteout(stat) ? undefined : this.#upperChild(parent, name, stat, ctx);
    }
    if (directory.whiteouts?.has(name) === true) return undefined;
    const lower = this.listing(parent, ctx)?.get(name);
    if (lower === undefined) return undefined;
    return this.#insert(lowerIno(lower.path), lower.mode & S_IFMT, { parent, name, lower, upper: false });
  }

  /** As `child`, but it must exist. */
  existing(parent: Inode, name: string, ctx: CallContext): Inode {
    const child = this.child(parent, name, ctx);
    if (child === undefined) throw new ErrnoError('ENOENT');
    return child;
  }

  /** Takes an object into memory that an operation has just made in the upper layer. */
  created(parent: Inode, name: string, stat: Stat): Inode {
    this.nameAdded(parent, name, stat.mode & S_IFMT);
    const inode = this.#insert(upperIno(stat.ino), stat.mode & S_IFMT, {
      parent,
      name,
      lower: undefined,
      upper: true,
    });
    inode.upperIno = stat.ino;
    inode.isUncapable = true;
    if (inode.directory !== undefined) {
      inode.directory.upperNames = new Map();
      inode.directory.whiteouts = new Set();
    }
    return inode;
  }

  #upperChild(parent: Inode, name: string, stat: Stat, ctx: CallContext): Inode {
    const type = stat.mode & S_IFMT;
    // Whatever its link count: the name by which it is known may have been removed while it is open.
    const linked = type === S_IFDIR ? undefined : this.#hardLinks.get(stat.ino);
    if (linked !== undefined) {
      this.addName(linked, parent, name);
      return linked;
    }
    const attributes = this.upper.format.read(this.upper.folder(parent), name);
    let lower: LayerEntry | undefined;
    if (type === S_IFDIR) {
      lower = attributes.opaque ? undefined : this.#lowerOf(parent, name, attributes.redirect, ctx);
      if (lower !== undefined && (lower.mode & S_IFMT) !== S_IFDIR) lower = undefined;
    } else if (attributes.metacopy && stat.size === 0) {
      // It was being emptied when the program was killed: there is no mark for an empty file.
      this.upper.format.clearMetacopy(this.upper.folder(parent), name);
    } else if (attributes.metacopy) {
      lower = this.#lowerOf(parent, name, attributes.redirect, ctx);
      if (lower === undefined) {
        throw new ErrnoError(
          'EIO',
          `${name}: the upper layer refers to a file that the repository does not have`,
        );
      }
    }
    const ino =
      type === S_IFDIR && lower !== undefined
        ? lowerIno(lower.path)
        : (attributes.origin?.ino ?? upperIno(stat.ino));
    const inode = this.#insert(ino, type, { parent, name, lower, upper: true });
    inode.upperIno = stat.ino;
    inode.isUncapable = !attributes.isCapable;
    if (type !== S_IFDIR && stat.nlink > 1) this.#hardLinks.set(stat.ino, inode);
    return inode;
  }

  /** The lower entry that an upper object stands for, by its redirect or, without one, by its name. */
  #lowerOf(
    parent: Inode,
    name: string,
    redirect: string | undefined,
    ctx: CallContext,
  ): LayerEntry | undefined {
    if (redirect?.startsWith('/') === true) return need(this.layer.resolve(redirect.slice(1), ctx));
    return this.listing(parent, ctx)?.get(redirect ?? name);
  }

  #insert(
    wanted: number,
    type: number,
    place: { parent: Inode; name: string; lower: LayerEntry | undefined; upper: boolean },
  ): Inode {
    let ino = wanted;
    // Two paths with one hash (or an object that is open but no longer has its name): any free number will do.
    while (this.#inodes.has(ino)) ino++;
    const inode = new Inode(ino, type, place);
    this.#inodes.set(ino, inode);
    place.parent.directory?.children.set(place.name, inode);
    return inode;
  }

  /** Names of the upper layer, read once for each folder. */
  upperNames(inode: Inode): { names: Map<string, number>; whiteouts: Set<string> } {
    const directory = inode.directory as DirectoryState;
    if (directory.upperNames === undefined || directory.whiteouts === undefined) {
      const names = new Map<string, number>();
      const whiteouts = new Set<string>();
      if (inode.upper) {
        const fd = this.upper.folder(inode);
        for (const entry of readDirectory(fd)) {
          const suspect = entry.type === constants.S_IFCHR || entry.type === 0;
          const stat = suspect ? statIfPresent(fd, entry.name) : undefined;
          if (stat !== undefined && isWhiteout(stat)) whiteouts.add(entry.name);
          else names.set(entry.name, stat === undefined ? entry.type : stat.mode & S_IFMT);
        }
      }
      directory.upperNames = names;
      directory.whiteouts = whiteouts;
    }
    return { names: directory.upperNames, whiteouts: directory.whiteouts };
  }

  /** The merged names of a folder in the order of listings. */
  view(inode: Inode, ctx: CallContext): DirectoryView {
    const directory = inode.directory as DirectoryState;
    if (directory.view === undefined) {
      const listing = this.listing(inode, ctx);
      const { names, whiteouts } = this.upperNames(inode);
      const view = new DirectoryView([]);
      for (let index = 0; index < (listing?.length ?? 0); index++) {
        const name = (listing as Listing).at(index).name;
        if (!whiteouts.has(name)) view.add(name);
      }
      for (const name of names.keys()) view.add(name);
      directory.view = view;
    }
    return directory.view;
  }

  isEmpty(inode: Inode, ctx: CallContext): boolean {
    const listing = this.listing(inode, ctx);
    const { names, whiteouts } = this.upperNames(inode);
    if (names.size > 0) return false;
    for (let index = 0; index < (listing?.length ?? 0); index++) {
      if (!whiteouts.has((listing as Listing).at(index).name)) return false;
    }
    return true;
  }

  /** Records that the upper layer has a name now. */
  nameAdded(parent: Inode, name: string, type: number): void {
    const directory = parent.directory as DirectoryState;
    directory.upperNames?.set(name, type);
    directory.whiteouts?.delete(name);
    directory.view?.add(name);
  }

  /** Records that a name is gone from the merged folder. */
  nameRemoved(parent: Inode, name: string, hidden: boolean): void {
    const directory = parent.directory as DirectoryState;
    directory.children.delete(name);
    directory.upperNames?.delete(name);
    if (hidden) directory.whiteouts?.add(name);
    directory.view?.remove(name);
  }

  /** Gives an inode a name (its first, or one more). */
  addName(inode: Inode, parent: Inode, name: string): void {
    parent.directory?.children.set(name, inode);
    if (inode.parent === undefined) {
      inode.parent = parent;
      inode.name = name;
    } else {
      (inode.aliases ??= []).push({ parent, name });
    }
    if (inode.directory === undefined && inode.upperIno !== 0) this.#hardLinks.set(inode.upperIno, inode);
  }

  /** Takes a name from an inode: another one takes its place, if one is known. */
  dropName(inode: Inode, parent: Inode, name: string): void {
    if (inode.parent === parent && inode.name === name) {
      const next = inode.aliases?.pop();
      inode.parent = next?.parent;
      inode.name = next?.name ?? '';
    } else {
      inode.aliases = inode.aliases?.filter((alias) => alias.parent !== parent || alias.name !== name);
    }
    if (inode.aliases?.length === 0) inode.aliases = undefined;
  }

  /** Counts a reference for the kernel and describes the object to it. */
  entry(inode: Inode, ctx: CallContext): Entry {
    const attributes = this.attributes(inode, ctx);
    inode.lookups++;
    return { attributes, entryTtl: TTL_SECONDS, attributesTtl: TTL_SECONDS };
  }

  attributes(inode: Inode, ctx: CallContext): Attributes {
    if (inode.upper) {
      const { dirfd, name } = this.upper.place(inode);
      const stat = statAt(dirfd, name);
      stat.ino = inode.ino;
      if (inode.isMetacopy) stat.blocks = Math.ceil(stat.size / 512);
      if (inode.directory !== undefined && inode.lower !== undefined && stat.nlink > 0) stat.nlink = 1;
      if (inode.copied !== undefined) {
        const { mode, atime, atimeNsec, mtime, mtimeNsec } = inode.copied;
        Object.assign(stat, { mode, atime, atimeNsec, mtime, mtimeNsec });
      }
      return stat;
    }
    const lower = inode.lower as LayerEntry;
    const size = inode.directory === undefined ? this.lowerSize(inode, ctx) : 4096;
    const time = this.layer.time;
    return {
      ino: inode.ino,
      mode: lower.mode,
      // A folder of the lower layer does not count its subfolders, which would mean to fetch it; 1 says so.
      nlink: inode.parent === undefined && inode.ino !== 1 ? 0 : 1,
      uid: this.owner.uid,
      gid: this.owner.gid,
      rdev: 0,
      size,
      blocks: Math.ceil(size / 512),
      blksize: 4096,
      atime: time,
      atimeNsec: 0,
      mtime: time,
      mtimeNsec: 0,
      ctime: time,
      ctimeNsec: 0,
    };
  }

  /** Size of a lower file; learns those of the whole folder with it, since they cost one request together. */
  lowerSize(inode: Inode, ctx: CallContext): number {
    const entry = inode.lower as LayerEntry;
    const known = this.layer.knownSize(entry);
    if (known !== undefined) return known;
    const directory = inode.parent?.directory;
    const listing = directory?.listing;
    if (directory?.sizesLoaded === false && listing?.get(entry.name)?.id === entry.id) {
      need(
        chain(this.layer.loadSizes(listing, ctx), () => {
          directory.sizesLoaded = true;
        }),
      );
    }
    return this.layer.knownSize(entry) ?? need(this.layer.size(entry, ctx));
  }

  /** Gives references back, and forgets what nobody refers to. */
  forget(ino: number, count: number): void {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) return;
    inode.lookups = Math.max(0, inode.lookups - count);
    this.dropIfUnused(inode);
  }

  /** Drops an object, and the folders that were kept for its sake, when neither kernel nor operation needs them. */
  dropIfUnused(inode: Inode): void {
    if (!this.#isUnused(inode)) return;
    const parents = [inode.parent, ...(inode.aliases ?? []).map((alias) => alias.parent)];
    this.#drop(inode);
    for (const parent of parents) if (parent !== undefined) this.dropIfUnused(parent);
  }

  #isUnused(inode: Inode): boolean {
    if (inode.lookups > 0 || inode.handles > 0 || inode.ino === 1 || inode.copyUp !== undefined) return false;
    for (const child of inode.directory?.children.values() ?? []) if (!this.#isUnused(child)) return false;
    return this.#inodes.has(inode.ino);
  }

  #drop(inode: Inode): void {
    for (const child of inode.directory?.children.values() ?? []) this.#drop(child);
    this.#inodes.delete(inode.ino);
    if (this.#hardLinks.get(inode.upperIno) === inode) this.#hardLinks.delete(inode.upperIno);
    this.upper.releaseFolder(inode);
    inode.parent?.directory?.children.delete(inode.name);
    for (const { parent, name } of inode.aliases ?? []) parent.directory?.children.delete(name);
  }

  /** Forgets everything, at the end: after the copies under way have ended. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.copyUps);
    for (const inode of this.#inodes.values()) this.upper.releaseFolder(inode);
    this.#inodes.clear();
    this.upper.close();
  }
}
