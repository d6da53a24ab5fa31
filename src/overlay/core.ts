// What all operations of the overlay share: the inodes, and how names are found in the two layers.
import { constants } from 'node:fs';
import type { Attributes, CallContext, Entry, KernelNotifier } from '../fuse/filesystem.ts';
import type { Layer, LayerEntry, Listing } from '../layers/layer.ts';
import { chain } from '../util/chain.ts';
import { ErrnoError } from '../util/errno.ts';
import { readDirectory, statIfPresent, type Stat } from '../util/syscall.ts';
import { Aliases } from './aliases.ts';
import { ChangeWatch } from './change-watch.ts';
import { Descriptions, type Owner } from './descriptions.ts';
import { DirectoryView, FIRST_COOKIE } from './directory-view.ts';
import type { FilePolicy, OverlayListener } from './file-policy.ts';
import { type DirectoryState, Inode } from './inode.ts';
import { lowerIno, upperIno } from './inode-numbers.ts';
import { type InodeEvents, InodeTable } from './inode-table.ts';
import { hiddenByOci, isHiddenByOci, isOciName, isOciWhiteout, isOpaqueByOci } from './oci-whiteouts.ts';
import { isWhiteout } from './overlay-format.ts';
import { need } from './pending.ts';
import type { UpperLayer } from './upper.ts';

/** Nobody but the kernel changes a mount, so what it learned holds until it is told otherwise. In seconds. */
export const TTL_SECONDS = 1_000_000_000;

const { S_IFMT, S_IFDIR } = constants;

/** Who takes part in an overlay, beside its two layers. */
export interface CoreOptions {
  readonly owner: Owner;
  readonly notifier?: KernelNotifier | undefined;
  readonly events?: InodeEvents | undefined;
  readonly policy?: FilePolicy | undefined;
  readonly listener?: OverlayListener | undefined;
}

const NOBODY: InodeEvents = { grown: () => undefined, shrunk: () => undefined };

const NOTHING_UPPER = {
  names: new Map<string, number>() as ReadonlyMap<string, number>,
  whiteouts: new Set<string>() as ReadonlySet<string>,
};

function isListed(listing: Listing | undefined, name: string): boolean {
  return listing !== undefined && listing.find(name) >= 0;
}

/** Whether an upper object is there to hide something, in whichever style. */
function isHiding(dirfd: number, name: string, stat: Stat): boolean {
  return isWhiteout(stat) || (isOciName(name) && isOciWhiteout(dirfd, name, stat));
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
  /** What the kernel knows. */
  readonly inodes: InodeTable;
  /** What is shown of it. */
  readonly descriptions: Descriptions;
  /** Who is told of changes. */
  readonly changes: ChangeWatch;
  readonly policy: FilePolicy | undefined;
  /** Grows when the policy says something else than before; what was remembered of it is void then. */
  policyChanges = 1;
  /** Grows from time to time; folders note by it when they were used. */
  clock = 0;

  constructor(layer: Layer, upper: UpperLayer, options: CoreOptions) {
    const { owner, notifier, events = NOBODY, policy, listener } = options;
    this.layer = layer;
    this.upper = upper;
    this.owner = owner;
    this.notifier = notifier;
    this.policy = policy;
    this.changes = new ChangeWatch(listener);
    this.inodes = new InodeTable(upper, events);
    this.descriptions = new Descriptions(layer, upper, owner, policy);
    const root = new Inode(1, S_IFDIR, { parent: undefined, name: '', lower: layer.root, upper: true });
    const rootFd = upper.folder(root);
    if (upper.format.read(rootFd, '').opaque || isOpaqueByOci(rootFd, '')) root.lower = undefined;
    root.lookups = 1;
    this.inodes.insertRoot(root);
  }

  inode(ino: number): Inode {
    const inode = this.inodes.get(ino);
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
          // The folder may have been forgotten meanwhile.
          if (directory.listing === undefined && this.inodes.has(inode))
            this.inodes.keepListing(directory, listing);
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
    const found = this.#find(parent, name, ctx);
    if (typeof found !== 'number') return found;
    return this.inodes.lowerChild(parent, parent.directory?.listing as Listing, found);
  }

  /** As `child`, for the kernel: counts a reference and describes the object. Throws ENOENT. */
  lookup(parent: Inode, name: string, ctx: CallContext): Entry {
    (parent.directory as DirectoryState).used = this.clock;
    const found = this.#find(parent, name, ctx);
    if (found === undefined) throw new ErrnoError('ENOENT');
    return typeof found === 'number' ? this.lowerEntry(parent, found, name, ctx) : this.entry(found, ctx);
  }

  /**
   * Counts a reference to, and describes, the entry at an index of a folder's listing. The upper layer must neither have
   * nor hide its name, and there must be no object for it yet.
   */
  lowerEntry(parent: Inode, index: number, name: string, ctx: CallContext): Entry {
    const listing = parent.directory?.listing as Listing;
    const mode = listing.modeAt(index);
    if ((mode & S_IFMT) !== S_IFDIR) {
      const ino = this.inodes.childIno(parent, name);
      const attributes = this.descriptions.ofFile(ino, parent, index, ctx);
      if (this.inodes.refer(ino, parent, index)) {
        return { attributes, entryTtl: TTL_SECONDS, attributesTtl: TTL_SECONDS };
      }
    }
    return this.entry(this.inodes.lowerChild(parent, listing, index), ctx);
  }

  /** An object under a name, or the index in the listing of what the lower layer alone has, or undefined. */
  #find(parent: Inode, name: string, ctx: CallContext): Inode | number | undefined {
    const directory = parent.directory as DirectoryState;
    const known = directory.children.get(name);
    if (known !== undefined) return known;
    if (name.length > 255) throw new ErrnoError('ENAMETOOLONG');
    if (parent.upper && (directory.upperNames?.has(name) ?? true)) {
      const stat = statIfPresent(this.upper.folder(parent), name);
      if (stat !== undefined) {
        return isHiding(this.upper.folder(parent), name, stat)
          ? undefined
          : this.#upperChild(parent, name, stat, ctx);
      }
    }
    if (directory.whiteouts?.has(name) === true) return undefined;
    const isRead = !parent.upper || directory.whiteouts !== undefined;
    if (!isRead && isHiddenByOci(this.upper.folder(parent), name)) return undefined;
    const index = this.listing(parent, ctx)?.find(name) ?? -1;
    return index < 0 ? undefined : index;
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
    const inode = this.inodes.insert(upperIno(stat.ino), stat.mode & S_IFMT, {
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

  /** The same for an object without a name, which a descriptor (O_PATH) keeps. */
  createdUnnamed(stat: Stat, pinned: number): Inode {
    const place = { parent: undefined, name: '', lower: undefined, upper: true };
    const inode = this.inodes.insert(upperIno(stat.ino), stat.mode & S_IFMT, place);
    inode.upperIno = stat.ino;
    inode.isUncapable = true;
    inode.isLinkable = true;
    inode.pinned = pinned;
    return inode;
  }

  #upperChild(parent: Inode, name: string, stat: Stat, ctx: CallContext): Inode {
    const type = stat.mode & S_IFMT;
    // Whatever its link count: the name by which it is known may have been removed while it is open.
    const linked = type === S_IFDIR ? undefined : this.inodes.linkedTo(stat.ino);
    if (linked !== undefined) {
      this.addName(linked, parent, name);
      return linked;
    }
    const attributes = this.upper.format.read(this.upper.folder(parent), name);
    let lower: LayerEntry | undefined;
    if (type === S_IFDIR) {
      const fd = this.upper.folder(parent);
      const isOpaque =
        attributes.opaque ||
        isOpaqueByOci(fd, name) ||
        (attributes.redirect === undefined && isHiddenByOci(fd, name));
      lower = isOpaque ? undefined : this.#lowerOf(parent, name, attributes.redirect, ctx);
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
      if (attributes.copying !== undefined)
        this.upper.format.putBack(this.upper.folder(parent), name, attributes.copying);
    }
    const ino =
      type === S_IFDIR && lower !== undefined
        ? lowerIno(lower.path)
        : (attributes.origin?.ino ?? upperIno(stat.ino));
    const inode = this.inodes.insert(ino, type, { parent, name, lower, upper: true });
    inode.upperIno = stat.ino;
    if (inode.ino !== ino) {
      // Its readers by passthrough still have the number that it shows, see split.ts.
      inode.shownIno = ino;
      if (this.inodes.partner(inode) === undefined) inode.shownIno = 0;
      else this.inodes.noteLinks(inode);
    }
    inode.isUncapable = !attributes.isCapable;
    if (type !== S_IFDIR && stat.nlink > 1) this.inodes.noteLinks(inode);
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

  /** Names of the upper layer, read once for each folder. */
  upperNames(inode: Inode): { names: ReadonlyMap<string, number>; whiteouts: ReadonlySet<string> } {
    if (!inode.upper) return NOTHING_UPPER;
    const directory = inode.directory as DirectoryState;
    if (directory.upperNames === undefined || directory.whiteouts === undefined) {
      const names = new Map<string, number>();
      const whiteouts = new Set<string>();
      const fd = this.upper.folder(inode);
      for (const entry of readDirectory(fd)) {
        const isOci = isOciName(entry.name);
        const suspect = isOci || entry.type === constants.S_IFCHR || entry.type === 0;
        const stat = suspect ? statIfPresent(fd, entry.name) : undefined;
        if (stat === undefined || !isHiding(fd, entry.name, stat)) {
          names.set(entry.name, stat === undefined ? entry.type : stat.mode & S_IFMT);
          continue;
        }
        whiteouts.add(entry.name);
        const hidden = isOci && !isWhiteout(stat) ? hiddenByOci(entry.name) : undefined;
        if (hidden !== undefined) whiteouts.add(hidden);
      }
      // It hides what is below, not what is beside it.
      for (const name of names.keys()) whiteouts.delete(name);
      this.inodes.countUpperNames(names.size - (directory.upperNames?.size ?? 0));
      directory.upperNames = names;
      directory.whiteouts = whiteouts;
    }
    return { names: directory.upperNames, whiteouts: directory.whiteouts };
  }

  /**
   * The names that only the upper layer has, in the order of listings; undefined where there are none. The lower names
   * come before them, each with the cookie `FIRST_COOKIE` plus its index, whether or not the upper layer hides it now:
   * so most folders need no order of their own.
   */
  view(inode: Inode, ctx: CallContext): DirectoryView | undefined {
    const directory = inode.directory as DirectoryState;
    if (directory.view === undefined) {
      const listing = this.listing(inode, ctx);
      const { names } = this.upperNames(inode);
      if (names.size === 0) return undefined;
      directory.view = new DirectoryView([], FIRST_COOKIE + (listing?.length ?? 0));
      for (const name of names.keys()) if (!isListed(listing, name)) directory.view.add(name);
    }
    return directory.view;
  }

  isEmpty(inode: Inode, ctx: CallContext): boolean {
    const listing = this.listing(inode, ctx);
    const { names, whiteouts } = this.upperNames(inode);
    if (names.size > 0) return false;
    for (let index = 0; index < (listing?.length ?? 0); index++) {
      if (!whiteouts.has((listing as Listing).nameAt(index))) return false;
    }
    return true;
  }

  /** Records that the upper layer has a name now. */
  nameAdded(parent: Inode, name: string, type: number): void {
    const directory = parent.directory as DirectoryState;
    if (directory.upperNames !== undefined) {
      if (!directory.upperNames.has(name)) this.inodes.countUpperNames(1);
      directory.upperNames.set(name, type);
    }
    directory.whiteouts?.delete(name);
    // With a view the listing is never let go of.
    if (!isListed(directory.listing, name)) directory.view?.add(name);
  }

  /** Records that a name is gone from the merged folder. */
  nameRemoved(parent: Inode, name: string, hidden: boolean): void {
    const directory = parent.directory as DirectoryState;
    directory.children.delete(name);
    if (directory.upperNames?.delete(name) === true) this.inodes.countUpperNames(-1);
    if (hidden) directory.whiteouts?.add(name);
    directory.view?.remove(name);
  }

  /** An object is about to get or to lose a name: who has its other inode open sees that, too (see split.ts). */
  linksChange(inode: Inode): void {
    const partner = this.inodes.partner(inode);
    if (partner !== undefined) this.notifier?.invalidateInode(partner.ino, -1, 0);
  }

  /** Gives an inode a name (its first, or one more). */
  addName(inode: Inode, parent: Inode, name: string): void {
    parent.directory?.children.set(name, inode);
    if (inode.content !== undefined && this.changes.isWatched(name)) inode.content.isWatched = true;
    if (inode.parent === undefined) {
      inode.parent = parent;
      inode.name = name;
    } else {
      (inode.aliases ??= new Aliases()).add({ parent, name });
    }
    if (inode.directory === undefined && inode.upperIno !== 0) this.inodes.noteLinks(inode);
  }

  /** Takes a name from an inode: another one takes its place, if one is known. */
  dropName(inode: Inode, parent: Inode, name: string): void {
    if (inode.parent === parent && inode.name === name) {
      const next = inode.aliases?.take();
      inode.parent = next?.parent;
      inode.name = next?.name ?? '';
    } else {
      inode.aliases?.delete({ parent, name });
    }
    if (inode.aliases?.size === 0) inode.aliases = undefined;
  }

  /** Counts a reference for the kernel and describes the object to it. */
  entry(inode: Inode, ctx: CallContext): Entry {
    const attributes = this.attributes(inode, ctx);
    inode.lookups++;
    const ttl = { entryTtl: TTL_SECONDS, attributesTtl: TTL_SECONDS };
    return inode.shownIno === 0 ? { attributes, ...ttl } : { attributes, node: inode.ino, ...ttl };
  }

  /** What the disk says of an object in the upper layer. */
  stat(inode: Inode): Stat {
    return this.descriptions.stat(inode);
  }

  attributes(inode: Inode, ctx: CallContext): Attributes {
    return this.descriptions.of(inode, ctx);
  }

  /** Attributes by number, also of a file that is no object. Throws ESTALE. */
  attributesOf(ino: number, ctx: CallContext): Attributes {
    const file = this.inodes.fileAt(ino);
    if (file === undefined) return this.attributes(this.inode(ino), ctx);
    return this.descriptions.ofFile(ino, file.folder, file.index, ctx);
  }

  /** The lower layer's entry of a file that is no object, since nothing of it is changed or open; else undefined. */
  unchangedFile(ino: number): LayerEntry | undefined {
    const file = this.inodes.fileAt(ino);
    return file?.folder.directory?.listing?.at(file.index);
  }

  /** Gives references back, and forgets what nobody refers to. */
  forget(ino: number, count: number): void {
    this.inodes.forget(ino, count);
  }

  /** Drops an object when neither kernel nor operation needs it, see InodeTable. */
  dropIfUnused(inode: Inode): void {
    this.inodes.dropIfUnused(inode);
  }

  /** Forgets everything, at the end: after the copies under way have ended. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.copyUps);
    for (const inode of this.inodes.clear()) this.upper.releaseFolder(inode);
    this.upper.close();
  }
}
