// The contract of what others decide about files of an overlay: who may write them, and what else is known of them.
import type { LayerEntry } from '../layers/layer.ts';

/** A file as the policy is asked about it. */
export interface PolicyFile {
  /** Path in the mount, no leading slash, latin1. Made when it is read: do not read it where it is not needed. */
  readonly path: string;
  /**
   * The file of the lower layer that its content is, or that its content in the upper layer took the place of, under the
   * name that it has; undefined: there is none, or that is not known without waiting. Before a file is written it is
   * waited for.
   */
  readonly lower: LayerEntry | undefined;
  /** Whether its content is in the upper layer. */
  readonly isUpper: boolean;
}

/** Decides about regular files. Answers at once, from memory: what it does not know it allows. */
export interface FilePolicy {
  /** Whether any file could be read-only just now; where not, `isReadOnly` is not asked. Read for each lookup. */
  readonly mayBeReadOnly: boolean;
  /** Whether the file is shown without its write permissions. */
  isReadOnly(file: PolicyFile): boolean;
  /** Throws ErrnoError (EACCES, EROFS, EPERM) where a file that exists must not be opened for writing, or emptied. */
  checkWrite(file: PolicyFile): void;
  /** Names of the extended attributes that listxattr(2) shows of those that are made up (`user.scorpio.*`). */
  xattrNames(file: PolicyFile): readonly string[];
  /** Value of an attribute that is made up, listed or not, or undefined. They cannot be set or removed. */
  xattr(file: PolicyFile, name: string): Buffer | undefined;
}

/** Hears of changes that the overlay makes. Called after the change, never from inside another call of the listener. */
export interface OverlayListener {
  /** Names of files that it wants to hear of, wherever they are. */
  readonly names: ReadonlySet<string>;
  /** Such a file was made, written, removed or moved; the path of its folder in the mount, latin1, `''` for the root. */
  fileChanged(folder: string, name: string): void;
  /** A folder was moved or removed, with all that is in it. */
  folderChanged(path: string): void;
}

/** What others tell a running overlay: that what it shows is no longer so. */
export interface OverlayControl {
  /** What the policy says of a file changed: the kernel asks again. */
  policyChanged(path: string): void;
  /** The same for everything. */
  policyChangedEverywhere(): void;
  /**
   * The layer shows other sizes and contents for some lower files below a folder: those for which `concerns` is true.
   * The kernel asks again, also for files that are open; metadata of such files that was copied up gets the new size.
   */
  lowerChanged(folder: string, concerns: (entry: LayerEntry) => boolean): void;
}
