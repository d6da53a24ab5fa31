// What the daemon asks of the side that serves mounts. Plain data only: that side is to move to a process of its own.

import type { FuseMountFeatures } from '../fuse/fuse-mount.ts';
import type { TransferFailure, TransferStatus } from '../lfs/download/lfs-downloads.ts';
import type { LfsCare, MountLfs } from './lfs/mount-lfs.ts';

/** The state of the monorepo that a mount shows: enough to mount it again without asking the server. */
export interface MountSnapshot {
  readonly commit: string;
  /** Id of the tree at the mounted path. */
  readonly tree: string;
  /** Committer time of the commit, in seconds. */
  readonly time: number;
}

/** Everything needed to serve one mount. */
export interface MountSpec {
  /** Unique id (UUID). */
  readonly id: string;
  /** Path in the monorepo, normalised, leading slash. UTF-8 text. */
  readonly path: string;
  /** Commit to show; undefined: the server's head, which the result tells. */
  readonly commit: string | undefined;
  /** Shows exactly this, and does not ask the server what the path is; `commit` is then ignored. */
  readonly snapshot?: MountSnapshot | undefined;
  /** Absolute path of the mount point; made when missing, must be empty. */
  readonly mountpoint: string;
  /** Whether an earlier mount made the mount point's folder, which is then removed after unmounting. */
  readonly ownsMountpoint?: boolean;
  /** Absolute path of the upper folder; made when missing. */
  readonly upperDir: string;
  /** Absolute path of the overlay's work folder, on the filesystem of `upperDir`; made when missing. */
  readonly workDir: string;
  /** Owner of the files that the monorepo provides. */
  readonly uid: number;
  readonly gid: number;
  readonly allowOther: boolean;
}

/** How a mount is served. */
export interface MountBinding {
  /** `kernel` or `fuse-native`. */
  readonly name: string;
  /** What mounts of this binding cannot do; empty for the kernel binding. */
  readonly limits: readonly { readonly name: string; readonly text: string }[];
}

/** What a served mount says of its large files. */
export interface MountLfsReport {
  /** The LFS server, without credentials; undefined until it was needed, and where there is none. */
  readonly server: string | undefined;
  /** Why there is none, or why it cannot be used. */
  readonly problem: string | undefined;
  /** Folders that were checked out. UTF-8 text, no leading slash, `''` for the root. */
  readonly activeFolders: readonly string[];
  readonly transfers: readonly TransferStatus[];
  /** The last failures, newest last. */
  readonly failures: readonly TransferFailure[];
}

/** What a served mount says of itself. */
export interface MountReport {
  readonly id: string;
  /** Commit that it shows. */
  readonly commit: string;
  readonly snapshot: MountSnapshot;
  /** The mount point as the kernel names it: symbolic links in the requested path are resolved. */
  readonly mountpoint: string;
  /** Whether the mount point's folder was made for a mount, and is removed after unmounting. */
  readonly ownsMountpoint: boolean;
  readonly binding: MountBinding;
  /** How the kernel opens files at present. */
  readonly features: FuseMountFeatures;
  /** Bytes received from the server for all mounts of this process since it started. */
  readonly fetchedBytes: number;
  /** Requests sent to the server for all mounts of this process since it started. */
  readonly requests: number;
  /** The last faults met, newest last: what failed, for which path, why. */
  readonly faults: readonly string[];
  readonly lfs: MountLfsReport;
}

/** A process that uses a mount. */
export interface MountUser {
  readonly pid: number;
  readonly command: string;
  /** What it holds: `cwd`, `root`, `open file PATH`, `mapped file PATH`, `executable`. */
  readonly use: string;
}

/** Memory of the serving process; sizes in bytes. */
export interface MountMemory {
  /** What the process may take (`memory_budget`). */
  readonly budget: number;
  /** Resident size of the process. */
  readonly resident: number;
  /** What inodes, listings and names take of it, as far as it is counted. */
  readonly held: number;
  readonly inodes: number;
  /** How many inodes were forgotten to keep the budget, since the process started. */
  readonly evicted: number;
}

/** What to fetch ahead of need. */
export interface PrefetchRequest {
  /** A folder in the mount, from its root, with or without a slash in front; `''` is the root. UTF-8 text. */
  readonly path: string;
  /** Levels of folders below it; 0: only the files in the folder itself. Default: all. */
  readonly depth?: number | undefined;
  /** Globs as in a .gitignore file; a file is fetched when one matches it or a folder above it. Default: all files. */
  readonly include?: readonly string[] | undefined;
  /** Globs of what is left out. */
  readonly exclude?: readonly string[] | undefined;
  /** What the globs start from: the folder (default), or the root of the monorepo. */
  readonly globsFrom?: 'folder' | 'repository' | undefined;
  /** Only counts. */
  readonly dryRun?: boolean | undefined;
  /** Whether to fetch the folder as one pack over Git; `auto` (default): where that is faster. */
  readonly pack?: 'auto' | 'always' | 'never' | undefined;
}

/** How far a prefetch has come. Files count with each name that they have, contents once. */
export interface PrefetchProgress {
  /** Whether more files may be found. */
  readonly isCounting: boolean;
  /** Folders looked into, and files found that are wanted. */
  readonly folders: number;
  readonly files: number;
  /** Of these: were in the store, have come, could not be had. */
  readonly present: number;
  readonly fetched: number;
  readonly failed: number;
  /** Bytes of content that have come, and that are to come in all as far as sizes are known. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Files to fetch whose size is not known: they are not in `totalBytes`. */
  readonly unsized: number;
  /** While the folder comes as one pack. */
  readonly pack: PrefetchPackProgress | undefined;
}

/** How far a pack has come. */
export interface PrefetchPackProgress {
  readonly objects: number;
  readonly totalObjects: number;
  readonly bytes: number;
}

/** Something that could not be fetched. */
export interface PrefetchFailure {
  /** Path in the mount. UTF-8 text. */
  readonly path: string;
  readonly error: string;
}

/** What became of a prefetch. */
export interface PrefetchReport extends PrefetchProgress {
  /** The first of what could not be fetched. */
  readonly failures: readonly PrefetchFailure[];
  /** Whether the folder came as a pack. */
  readonly usedPack: boolean;
  readonly durationMs: number;
}

/** How a mount ended: unmounted by someone, or its session broke and the mount point was cleared. */
export type MountEnd = 'unmounted' | 'died';

/** Serves mounts. */
export interface MountHost {
  /**
   * Resolves when the mount answers and its root folder is known; rejects with MountError, and leaves nothing
   * behind then. What a died process left mounted at the mount point is cleared first.
   */
  mount(spec: MountSpec): Promise<MountReport>;
  /**
   * Unmounts. Rejects with MountError of kind `busy` when processes use it, and the mount goes on working. `lazy`
   * detaches it anyway. An id that is not mounted is fine.
   */
  unmount(id: string, options?: { lazy?: boolean }): Promise<void>;
  report(id: string): MountReport | undefined;
  /** What all mounts together take of the memory, and may; undefined where that has no limit. */
  memory(): MountMemory | undefined;
  /**
   * Fetches what the mount shows of a folder, and what the store lacks of it, behind everything that processes wait for.
   * Resolves also when single objects failed; rejects with MountError when the folder cannot be prefetched, and when the
   * work ended early: the server or the disk failed, the mount ended, or the signal aborted. What came is kept.
   */
  prefetch(
    id: string,
    request: PrefetchRequest,
    onProgress: (progress: PrefetchProgress) => void,
    signal: AbortSignal,
  ): Promise<PrefetchReport>;
  /** Large files of a mount; undefined while it does not serve. */
  lfs(id: string): MountLfs | undefined;
  /** Large files of all mounts; undefined where this host keeps none. */
  readonly lfsCare: LfsCare | undefined;
  /**
   * Forgets what it remembers of a mount that is gone and will not come back (not what the user changed). Never rejects.
   */
  forget(id: string): Promise<void>;
  /** Called when a mount ended that nobody unmounted through this interface. */
  onEnded(listener: (id: string, end: MountEnd) => void): void;
  /** Detaches the dead mount of an earlier process at a mount point, if there is one. */
  clearDead(mountpoint: string): Promise<void>;
  /** Unmounts all (lazily where busy) and releases what it holds. Later calls of `mount` are refused. */
  close(): Promise<void>;
}
