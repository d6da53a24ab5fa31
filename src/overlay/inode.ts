// An object of the overlay as the kernel knows it.
import type { Aliases } from './aliases.ts';
import { constants } from 'node:fs';
import type { LayerEntry, Listing } from '../layers/layer.ts';
import type { Stat } from '../util/syscall.ts';
import type { Content } from './contents.ts';
import type { DirectoryView } from './directory-view.ts';
import type { PathSeed } from './inode-numbers.ts';

/** What a folder holds in memory. Parts are loaded when they are first needed. */
export class DirectoryState {
  /** Children that the kernel (or an operation) knows, and that are objects. */
  readonly children: Map<string, Inode> = new Map<string, Inode>();
  /** Number in the table of files that are no objects (InodeTable), -1 while it has none of this folder. */
  number = -1;
  /** How many files of this folder that table has. They are named by their index in `listing`. */
  known = 0;
  /** When the folder was last used, as the overlay counts time; for forgetting the coldest. */
  used = 0;
  /** For the inode numbers of children that the lower layer has; undefined while not needed. */
  seed: PathSeed | undefined = undefined;
  /** O_PATH descriptor of the folder in the upper layer, -1 while not open. */
  fd = -1;
  /** When the descriptor was last used, for closing the oldest. */
  fdUsed = 0;
  /** The lower layer's entries; undefined while not loaded or without a lower part. */
  listing: Listing | undefined = undefined;
  /** Whether the listing was asked for on behalf of a policy, which does without where that fails. */
  isListingTried = false;
  /** Whether the sizes in `listing` were asked for: those that are not known by now were lost. */
  sizesLoaded = false;
  /** Names in the upper layer with their types (`S_IFMT` bits, 0: unknown); undefined while not read. */
  upperNames: Map<string, number> | undefined = undefined;
  /** Names that the upper layer hides. Valid together with `upperNames`. */
  whiteouts: Set<string> | undefined = undefined;
  /** Order of the names that only the upper layer has; they are listed after the lower ones. */
  view: DirectoryView | undefined = undefined;
}

/**
 * One object. Where its parts are: `lower` is what the monorepo provides (a file's content, a folder's entries to
 * merge), `upper` says that the upper layer has it. A file with both has only its metadata in the upper layer
 * (overlayfs calls that metacopy).
 */
export class Inode {
  /** Node id for the kernel and `st_ino`. */
  readonly ino: number;
  /** `S_IFMT` bits; they never change. */
  readonly type: number;
  /** References that the kernel holds. */
  lookups = 0;
  /** Open files. */
  handles = 0;
  /** Where it is; undefined when no name of it is known (any more). */
  parent: Inode | undefined;
  name: string;
  /** More names (hard links) that are known. */
  aliases: Aliases | undefined = undefined;
  lower: LayerEntry | undefined;
  upper: boolean;
  /** Inode number in the upper layer; 0 while not there. */
  upperIno = 0;
  /** Known to have no file capabilities (see CAPABILITY_ATTRIBUTE). */
  isUncapable = false;
  /** Made without a name, so that it may get one though it has none. */
  isLinkable = false;
  /** O_PATH descriptor of an upper object that has no known name; -1 else. */
  pinned = -1;
  /** Known to have no set-id bits. */
  isPlain = false;
  /** For which state of the policy (`OverlayCore.policyChanges`) it is known that it may be written; 0: none. */
  writableSince = 0;
  /** Of a metacopy: the layer did not know the size, so that the one of the hole was shown. */
  isSizeGuessed = false;
  /** Inode number that it shows, where that is not `ino`: it was parted from another (see split.ts). 0 else. */
  shownIno = 0;
  /** Another object has its names, and changes its content: this one is what its readers had open (see split.ts). */
  isParted = false;
  /** Its content, while that is open. */
  content: Content | undefined = undefined;
  /** Grows whenever the content moves to another file: open files that are older must be opened again. */
  version = 0;
  /** The copy-up of its content that is under way. */
  copyUp: Promise<void> | undefined = undefined;
  /** Attributes from before that copy-up, which changes some on the disk while it runs; undefined else. */
  copied: Stat | undefined = undefined;
  readonly directory: DirectoryState | undefined;

  constructor(
    ino: number,
    type: number,
    place: { parent: Inode | undefined; name: string; lower: LayerEntry | undefined; upper: boolean },
  ) {
    this.ino = ino;
    this.type = type;
    this.parent = place.parent;
    this.name = place.name;
    this.lower = place.lower;
    this.upper = place.upper;
    this.directory = type === constants.S_IFDIR ? new DirectoryState() : undefined;
  }

  /** Whether the upper layer has its metadata, but the content is the lower layer's. */
  get isMetacopy(): boolean {
    return this.upper && this.lower !== undefined && this.directory === undefined;
  }

  /** Whether a hole in the upper layer stands for that content: the object with the names may have filled it. */
  get isHole(): boolean {
    return this.isMetacopy && !this.isParted;
  }
}
