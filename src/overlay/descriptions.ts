// What is shown of objects and files: their attributes, and the sizes among them that only the lower layer knows.
import { constants } from 'node:fs';
import type { Attributes, CallContext } from '../fuse/filesystem.ts';
import type { Layer, LayerEntry, Listing } from '../layers/layer.ts';
import { chain } from '../util/chain.ts';
import { type Stat, statAt } from '../util/syscall.ts';
import type { FilePolicy, PolicyFile } from './file-policy.ts';
import type { Inode } from './inode.ts';
import { need } from './pending.ts';
import { policyFileAt, policyFileOf } from './policy-file.ts';
import type { UpperLayer } from './upper.ts';

const WRITE_BITS = 0o222;
const { S_IFMT, S_IFREG } = constants;

/** Who owns what the lower layer provides. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Describes what an overlay shows. */
export class Descriptions {
  readonly #layer: Layer;
  readonly #upper: UpperLayer;
  readonly #owner: Owner;
  readonly #policy: FilePolicy | undefined;

  constructor(layer: Layer, upper: UpperLayer, owner: Owner, policy: FilePolicy | undefined) {
    this.#layer = layer;
    this.#upper = upper;
    this.#owner = owner;
    this.#policy = policy;
  }

  /** What the disk says of an object in the upper layer. */
  stat(inode: Inode): Stat {
    const { dirfd, name } = this.#upper.place(inode);
    return statAt(dirfd, name);
  }

  /** Attributes of an object. */
  of(inode: Inode, ctx: CallContext): Attributes {
    if (inode.upper) return this.#upperAttributes(inode);
    const lower = inode.lower as LayerEntry;
    const size = inode.directory === undefined ? this.lowerSize(inode, ctx) : 4096;
    // A folder of the lower layer does not count its subfolders, which would mean to fetch it; 1 says so.
    const nlink = inode.parent === undefined && inode.ino !== 1 ? 0 : 1;
    const mode =
      this.#policy?.mayBeReadOnly === true ? this.#shown(lower.mode, policyFileOf(inode)) : lower.mode;
    return this.#lowerAttributes(inode.shownIno || inode.ino, mode, size, nlink);
  }

  /** Attributes of a file that is no object, by the index in its folder's listing. */
  ofFile(ino: number, folder: Inode, index: number, ctx: CallContext): Attributes {
    const listing = folder.directory?.listing as Listing;
    const entry = listing.at(index);
    const size = this.#sizeOf(entry, folder, ctx);
    let mode = listing.modeAt(index);
    if (this.#policy?.mayBeReadOnly === true && (mode & S_IFMT) === S_IFREG) {
      mode = this.#shown(mode, policyFileAt(folder, entry));
    }
    return this.#lowerAttributes(ino, mode, size, 1);
  }

  /** Size of a lower file; learns those of the whole folder with it, since they cost one request together. */
  lowerSize(inode: Inode, ctx: CallContext): number {
    return this.#sizeOf(inode.lower as LayerEntry, inode.parent, ctx);
  }

  #upperAttributes(inode: Inode): Attributes {
    const stat = this.stat(inode);
    stat.ino = inode.shownIno || inode.ino;
    if (inode.isHole) {
      const size = this.#layer.knownSize(inode.lower as LayerEntry);
      if (size !== undefined) stat.size = size;
      inode.isSizeGuessed = size === undefined;
    }
    if (inode.isMetacopy) stat.blocks = Math.ceil(stat.size / 512);
    if (inode.directory !== undefined && inode.lower !== undefined && stat.nlink > 0) stat.nlink = 1;
    if (inode.copied !== undefined) {
      const { mode, atime, atimeNsec, mtime, mtimeNsec } = inode.copied;
      Object.assign(stat, { mode, atime, atimeNsec, mtime, mtimeNsec });
    }
    if (this.#policy?.mayBeReadOnly === true) stat.mode = this.#shown(stat.mode, policyFileOf(inode));
    return stat;
  }

  /** The mode that is shown in place of the one that a file has. */
  #shown(mode: number, file: PolicyFile | undefined): number {
    return file !== undefined && this.#policy?.isReadOnly(file) === true ? mode & ~WRITE_BITS : mode;
  }

  #lowerAttributes(ino: number, mode: number, size: number, nlink: number): Attributes {
    const { time } = this.#layer;
    return {
      ino,
      mode,
      nlink,
      uid: this.#owner.uid,
      gid: this.#owner.gid,
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

  #sizeOf(entry: LayerEntry, folder: Inode | undefined, ctx: CallContext): number {
    const known = this.#layer.knownSize(entry);
    if (known !== undefined) return known;
    const directory = folder?.directory;
    const listing = directory?.listing;
    if (directory?.sizesLoaded === false && listing?.get(entry.name)?.id === entry.id) {
      need(
        chain(this.#layer.loadSizes(listing, ctx), () => {
          directory.sizesLoaded = true;
        }),
      );
    }
    return this.#layer.knownSize(entry) ?? need(this.#layer.size(entry, ctx));
  }
}
