// What the kernel knows of an overlay: objects, and files of the lower layer that need none.
import { constants } from 'node:fs';
import type { LayerEntry, Listing } from '../layers/layer.ts';
import { type Alias, Aliases } from './aliases.ts';
import { type DirectoryState, Inode } from './inode.ts';
import { childIno, pathSeed } from './inode-numbers.ts';
import { KnownFiles } from './known-files.ts';
import type { UpperLayer } from './upper.ts';

const { S_IFDIR } = constants;

/** What an object takes in memory with its name, its lower entry, and its places in two Maps; measured. Bytes. */
const INODE_BYTES = 450;
/** What a folder takes beyond that. Bytes. */
const FOLDER_BYTES = 650;
/** What a name of the upper layer takes in the Map of its folder, and in the order of listings. Bytes. */
const UPPER_NAME_BYTES = 150;

const DROPS_A_LOOK = 512;

/** What a row of an unchanged file takes, at the usual fill of the table. Bytes. */
const FILE_BYTES = 36;

/** Numbers of objects that were parted from another: above those that stand for something on the disk. */
const PARTED_BASE = 2 ** 52;

/** Who wants to know what becomes of objects. */
export interface InodeWatch {
  /** It is no longer in memory. */
  dropped(inode: Inode): void;
  /** The kernel gave its last reference back. */
  forgotten(inode: Inode): void;
}

/** Where a new object is; without a parent it has no name yet. */
export interface InodePlace {
  readonly parent: Inode | undefined;
  readonly name: string;
  readonly lower: LayerEntry | undefined;
  readonly upper: boolean;
}

/** Who is told of changes. */
export interface InodeEvents {
  /** An inode was added; called for each, so it must be quick. */
  grown(): void;
  /** Many inodes were forgotten. */
  shrunk(): void;
}

/**
 * All that the kernel, or an operation, refers to. An unchanged file of the lower layer is a row in a table
 * (`KnownFiles`) until an operation needs more of it than its attributes: then it becomes an object, and a row again
 * when that is over.
 */
export class InodeTable {
  readonly #upper: UpperLayer;
  readonly #events: InodeEvents;
  readonly #objects = new Map<number, Inode>();
  readonly #files = new KnownFiles();
  /** Folders that files in the table belong to, by their number there. */
  readonly #folders: (Inode | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  /** Upper objects with several names, by their inode number there: other names must find the same inode. */
  readonly #hardLinks = new Map<number, Inode>();
  /** Told of objects that have open files or content. */
  watch: InodeWatch = { dropped: () => undefined, forgotten: () => undefined };
  #lastParted = PARTED_BASE;
  #folderCount = 0;
  #listingBytes = 0;
  #upperNames = 0;
  #drops = 0;

  constructor(upper: UpperLayer, events: InodeEvents) {
    this.#upper = upper;
    this.#events = events;
  }

  /** Number of objects and files. */
  get size(): number {
    return this.#objects.size + this.#files.size;
  }

  /** How many were forgotten so far. */
  get forgotten(): number {
    return this.#drops;
  }

  /** Estimate of the memory behind all of it, in bytes. */
  get byteLength(): number {
    return (
      this.#files.byteLength +
      this.#objects.size * INODE_BYTES +
      this.#folderCount * FOLDER_BYTES +
      this.#listingBytes +
      this.#upperNames * UPPER_NAME_BYTES
    );
  }

  /** The object of a number. A file that was a row becomes one. */
  get(ino: number): Inode | undefined {
    const object = this.#objects.get(ino);
    if (object !== undefined) return object;
    const slot = this.#files.find(ino);
    if (slot < 0) return undefined;
    const folder = this.#folders[this.#files.folderAt(slot)] as Inode;
    const listing = folder.directory?.listing as Listing;
    return this.lowerChild(folder, listing, this.#files.indexAt(slot));
  }

  /** Where a file is that is a mere row: its folder, and the index in the folder's listing; else undefined. */
  fileAt(ino: number): { folder: Inode; index: number } | undefined {
    const slot = this.#files.find(ino);
    if (slot < 0) return undefined;
    return {
      folder: this.#folders[this.#files.folderAt(slot)] as Inode,
      index: this.#files.indexAt(slot),
    };
  }

  /** A name of an object or file that is known; undefined where there is none. */
  placeOf(ino: number): { parent: Inode; name: string } | undefined {
    const file = this.fileAt(ino);
    if (file !== undefined) {
      const { directory } = file.folder;
      return { parent: file.folder, name: directory?.listing?.nameAt(file.index) ?? '' };
    }
    const inode = this.#objects.get(ino);
    return inode?.parent === undefined ? undefined : { parent: inode.parent, name: inode.name };
  }

  has(inode: Inode): boolean {
    return this.#objects.get(inode.ino) === inode;
  }

  /** Whether nobody but the kernel needs the object. */
  isSpare(inode: Inode): boolean {
    return inode.lookups > 0 && !isInUse(inode);
  }

  /** What would be gained if the kernel forgot a folder and all files in it; an estimate in bytes. */
  bytesOf({ directory }: Inode): number {
    if (directory === undefined) return INODE_BYTES;
    return (
      INODE_BYTES +
      FOLDER_BYTES +
      directory.known * FILE_BYTES +
      directory.children.size * INODE_BYTES +
      (directory.listing?.byteLength ?? 0) +
      (directory.upperNames?.size ?? 0) * UPPER_NAME_BYTES
    );
  }

  objects(): IterableIterator<Inode> {
    return this.#objects.values();
  }

  /** Numbers of the files that are mere rows in the given folders. */
  filesIn(folders: Iterable<Inode>): number[] {
    const marks = new Uint8Array(this.#folders.length);
    for (const { directory } of folders) {
      if (directory !== undefined && directory.number >= 0) marks[directory.number] = 1;
    }
    return this.#files.inFolders(marks);
  }

  /**
   * Counts a reference to a file of the lower layer that the upper one neither has nor hides, and that is no object.
   * False when its number is taken by something else: then it must be an object.
   */
  refer(ino: number, folder: Inode, index: number): boolean {
    const directory = folder.directory as DirectoryState;
    const slot = this.#files.find(ino);
    if (slot >= 0) {
      const isIt = this.#files.folderAt(slot) === directory.number && this.#files.indexAt(slot) === index;
      if (isIt) this.#files.refer(slot);
      return isIt;
    }
    if (this.#objects.has(ino)) return false;
    this.#addFile(ino, folder, index, 1);
    return true;
  }

  /** The object for an entry of the lower layer that the upper one neither has nor hides. */
  lowerChild(parent: Inode, listing: Listing, index: number): Inode {
    const lower = listing.at(index);
    const name = listing.nameAt(index);
    const ino = childIno(this.#seedOf(parent), name);
    const type = lower.mode & constants.S_IFMT;
    const directory = parent.directory as DirectoryState;
    const slot = this.#files.find(ino);
    let references = 0;
    if (slot >= 0 && this.#files.folderAt(slot) === directory.number && this.#files.indexAt(slot) === index) {
      references = this.#files.referencesAt(slot);
      this.#files.remove(slot);
      directory.known--;
    }
    const inode = this.insert(ino, type, { parent, name, lower, upper: false });
    inode.lookups = references;
    return inode;
  }

  /** Adds an object under the number that is wanted, or the next one that is free. */
  insert(wanted: number, type: number, place: InodePlace): Inode {
    let ino = wanted;
    // Two paths with one hash (or an object that is open but no longer has its name): any free number will do.
    while (this.#objects.has(ino) || this.#files.find(ino) >= 0) ino++;
    const inode = new Inode(ino, type, place);
    this.#objects.set(ino, inode);
    if (type === S_IFDIR) this.#folderCount++;
    place.parent?.directory?.children.set(place.name, inode);
    this.#events.grown();
    return inode;
  }

  /**
   * Puts a new object in the place of a non-folder: it has the names and shows the number of the old one, which has no
   * name any more. Returns the names.
   */
  replace(old: Inode): Alias[] {
    const names = [{ parent: old.parent as Inode, name: old.name }, ...(old.aliases ?? [])];
    const [place, ...aliases] = names as [Alias, ...Alias[]];
    const { lower, upper, upperIno } = old;
    const inode = this.insert(++this.#lastParted, old.type, { ...place, lower, upper });
    inode.shownIno = old.shownIno || old.ino;
    inode.upperIno = upperIno;
    inode.isUncapable = old.isUncapable;
    if (aliases.length > 0) inode.aliases = new Aliases(aliases);
    for (const { parent, name } of aliases) parent.directory?.children.set(name, inode);
    this.#hardLinks.set(upperIno, inode);
    old.parent = undefined;
    old.name = '';
    old.aliases = undefined;
    old.isParted = true;
    return names;
  }

  /** The other object that shows the same upper file, where that was parted from its readers and they still read. */
  partner(inode: Inode): Inode | undefined {
    if (inode.shownIno !== 0) {
      const old = this.#objects.get(inode.shownIno);
      return old?.parent === undefined && old?.upperIno === inode.upperIno ? old : undefined;
    }
    if (inode.parent !== undefined || inode.upperIno === 0) return undefined;
    const other = this.#hardLinks.get(inode.upperIno);
    return other === inode ? undefined : other;
  }

  /** Adds the root. */
  insertRoot(root: Inode): void {
    this.#objects.set(root.ino, root);
    this.#folderCount++;
  }

  /** Number of a child of the lower layer. */
  childIno(parent: Inode, name: string): number {
    return childIno(this.#seedOf(parent), name);
  }

  linkedTo(upperIno: number): Inode | undefined {
    return this.#hardLinks.get(upperIno);
  }

  /** Lets other names of an upper object find this inode. */
  noteLinks(inode: Inode): void {
    this.#hardLinks.set(inode.upperIno, inode);
  }

  /** Keeps a folder's listing. */
  keepListing(directory: DirectoryState, listing: Listing): void {
    this.dropListing(directory);
    directory.listing = listing;
    this.#listingBytes += listing.byteLength;
  }

  /** Lets go of a folder's listing, which can be had again. */
  dropListing(directory: DirectoryState): void {
    if (directory.listing === undefined) return;
    this.#listingBytes -= directory.listing.byteLength;
    directory.listing = undefined;
    directory.sizesLoaded = false;
  }

  /** Takes note of how many names more (or less) of the upper layer are kept. */
  countUpperNames(change: number): void {
    this.#upperNames += change;
  }

  /** Gives references back, and forgets what nobody refers to. */
  forget(ino: number, count: number): void {
    const slot = this.#files.find(ino);
    if (slot < 0) {
      const inode = this.#objects.get(ino);
      if (inode === undefined) return;
      inode.lookups = Math.max(0, inode.lookups - count);
      if (inode.lookups === 0 && inode.handles > 0) this.watch.forgotten(inode);
      this.dropIfUnused(inode);
    } else if (this.#files.release(slot, count) === 0) {
      const folder = this.#folders[this.#files.folderAt(slot)] as Inode;
      const directory = folder.directory as DirectoryState;
      this.#files.remove(slot);
      directory.known--;
      this.#countDrop();
      if (directory.known > 0) return;
      // Offsets of a listing that goes on are those of the view, which builds upon the lower listing.
      if (directory.view === undefined) this.dropListing(directory);
      this.dropIfUnused(folder);
    }
  }

  /**
   * Drops an object, and the folders that were kept for its sake, when neither kernel nor operation needs them. An
   * unchanged file that only the kernel refers to becomes a row in the table.
   */
  dropIfUnused(inode: Inode): void {
    if (!this.#isUnused(inode)) {
      this.#shrink(inode);
      return;
    }
    const parents = [inode.parent, ...Array.from(inode.aliases ?? [], (alias) => alias.parent)];
    this.#drop(inode);
    for (const parent of parents) if (parent !== undefined) this.dropIfUnused(parent);
  }

  /** Makes rows of all objects that can be. */
  shrinkAll(): void {
    for (const inode of this.#objects.values()) this.#shrink(inode);
  }

  /** Forgets everything; returns the objects that there were. */
  clear(): Inode[] {
    const objects = [...this.#objects.values()];
    this.#objects.clear();
    return objects;
  }

  #isUnused(inode: Inode): boolean {
    if (inode.lookups > 0 || isInUse(inode) || inode.ino === 1) return false;
    const { directory } = inode;
    if (directory !== undefined) {
      if (directory.known > 0) return false;
      for (const child of directory.children.values()) if (!this.#isUnused(child)) return false;
    }
    return this.#objects.has(inode.ino);
  }

  #drop(inode: Inode): void {
    const { directory } = inode;
    if (directory !== undefined) {
      for (const child of directory.children.values()) this.#drop(child);
      this.dropListing(directory);
      this.#upperNames -= directory.upperNames?.size ?? 0;
      this.#folderCount--;
      if (directory.number >= 0) {
        this.#folders[directory.number] = undefined;
        this.#freeNumbers.push(directory.number);
        directory.number = -1;
      }
    }
    this.#objects.delete(inode.ino);
    if (inode.content !== undefined) this.watch.dropped(inode);
    this.#countDrop();
    if (this.#hardLinks.get(inode.upperIno) === inode) this.#hardLinks.delete(inode.upperIno);
    this.#upper.releaseFolder(inode);
    inode.parent?.directory?.children.delete(inode.name);
    for (const { parent, name } of inode.aliases ?? []) parent.directory?.children.delete(name);
  }

  /** Makes a row of an object that is no more than that. */
  #shrink(inode: Inode): void {
    const { parent, name, ino } = inode;
    if (inode.upper || inode.directory !== undefined || parent === undefined) return;
    if (inode.content !== undefined || inode.shownIno !== 0) return;
    if (inode.lookups === 0 || isInUse(inode) || inode.aliases !== undefined || inode.pinned >= 0) return;
    const directory = parent.directory as DirectoryState;
    const index = directory.listing?.find(name) ?? -1;
    if (index < 0 || childIno(this.#seedOf(parent), name) !== ino) return;
    this.#objects.delete(ino);
    directory.children.delete(name);
    this.#addFile(ino, parent, index, inode.lookups);
  }

  #addFile(ino: number, folder: Inode, index: number, references: number): void {
    const directory = folder.directory as DirectoryState;
    if (directory.number < 0) {
      directory.number = this.#freeNumbers.pop() ?? this.#folders.length;
      this.#folders[directory.number] = folder;
    }
    this.#files.add(ino, directory.number, index, references);
    directory.known++;
    this.#events.grown();
  }

  #countDrop(): void {
    if (++this.#drops % DROPS_A_LOOK === 0) this.#events.shrunk();
  }

  #seedOf(folder: Inode): { low: number; high: number } {
    const directory = folder.directory as DirectoryState;
    directory.seed ??= pathSeed(folder.lower?.path ?? '');
    return directory.seed;
  }
}

/** Whether something besides the kernel's references needs the object. */
function isInUse(inode: Inode): boolean {
  return inode.handles > 0 || inode.copyUp !== undefined;
}
