// What the daemon asks of the side that serves mounts about large files. Plain data only, as in mount-host.ts.
import type { TransferFailure, TransferStatus } from '../../lfs/download/lfs-downloads.ts';
import type { LfsLock, VerifiedLocks } from '../../lfs/client/lfs-client.ts';

// Those who ask know nothing of what is below.
export type { LfsLock, TransferFailure, TransferStatus, VerifiedLocks };

/** Files of a mount: paths from its root, UTF-8 text, with or without a slash in front; empty list: all of it. */
export interface LfsSelection {
  readonly paths: readonly string[];
}

/** What changed about a large file. `unknown`: its hash is not known yet. */
export type LfsChange = 'new' | 'modified' | 'deleted' | 'renamed' | 'unmodified' | 'unknown';

/** A file that the attributes mark as large, and that the upper layer has. */
export interface LfsFileStatus {
  readonly path: string;
  readonly change: LfsChange;
  /** Where a renamed file was. */
  readonly from: string | undefined;
  /** Whether it is large now; false: it was, and is an ordinary file since the attributes or its content changed. */
  readonly isLfs: boolean;
  readonly size: number;
  readonly oldSize: number | undefined;
  readonly oldOid: string | undefined;
  /** Undefined while it is being hashed. */
  readonly oid: string | undefined;
  /** Whether the server has the content; undefined: nobody asked yet. */
  readonly isUploaded: boolean | undefined;
  /** Who has locked it, as far as it is known; `''`: somebody whom the server does not name. */
  readonly lockedBy: string | undefined;
}

/** Large files of a mount. */
export interface LfsStatus {
  /** The LFS server, and why it cannot be asked, where that is so. */
  readonly server: string | undefined;
  readonly serverProblem: string | undefined;
  readonly files: readonly LfsFileStatus[];
  /** Files whose hash is not known yet. */
  readonly hashing: number;
  readonly transfers: readonly TransferStatus[];
  readonly failures: readonly TransferFailure[];
  /** Folders that were checked out: their large files are kept at hand. No leading slash, `''` for the root. */
  readonly activeFolders: readonly string[];
}

/** How far a run has come. */
export interface LfsProgress {
  /** Whether more files may be found. */
  readonly isCounting: boolean;
  readonly files: number;
  readonly filesDone: number;
  readonly filesFailed: number;
  /** Of `filesDone`: nothing had to be transferred. */
  readonly filesPresent: number;
  readonly bytes: number;
  readonly totalBytes: number;
}

/** What became of a run. */
export interface LfsReport extends LfsProgress {
  /** The first of what failed, in words for the user. */
  readonly failures: readonly { readonly path: string; readonly oid: string; readonly reason: string }[];
  readonly durationMs: number;
  /** What the user should know although nothing failed: a path that somebody else has locked, say. */
  readonly warnings?: readonly string[];
  /** Bytes of disk that became free (prune, dedup). */
  readonly freedBytes?: number;
}

/** A run: resolves also when single files failed; rejects with MountError when it could not be begun, or was ended. */
export type LfsRun = (onProgress: (progress: LfsProgress) => void, signal: AbortSignal) => Promise<LfsReport>;

/** What a commit needs of a changed path: the blob that Git is to store. */
export type CommitBlob =
  /** The pointer, whose object the server has. */
  | { readonly kind: 'pointer'; readonly content: Buffer; readonly oid: string; readonly size: number }
  /** An ordinary file: its content, on the local disk; the caller closes the descriptor. */
  | { readonly kind: 'content'; readonly fd: number; readonly size: number };

/** Large files of one mount. Methods reject with MountError. */
export interface MountLfs {
  /** What is modified; without waiting for hashes unless `waitForHashes`. */
  status(
    selection: LfsSelection,
    options: { readonly waitForHashes: boolean; readonly askServer: boolean },
    signal: AbortSignal,
  ): Promise<LfsStatus>;
  /** Fetches what is shown below the paths; with `activate` the folders are recorded, and kept fetched from now on. */
  fetch(selection: LfsSelection, options: { readonly activate: boolean }): LfsRun;
  /** Takes folders, with those below them, out of that record; returns those that are left. */
  deactivate(selection: LfsSelection): Promise<readonly string[]>;
  /** Uploads what is new or modified. */
  push(selection: LfsSelection): LfsRun;
  /**
   * The blob to commit for a path that the upper layer has. Rejects when the path's object is not on the server (push it
   * first), or changed while it was looked at.
   */
  commitBlob(path: string, signal: AbortSignal): Promise<CommitBlob>;
  lock(paths: readonly string[], signal: AbortSignal): Promise<readonly LfsLockResult[]>;
  unlock(
    wanted: { readonly paths: readonly string[]; readonly id?: string | undefined; readonly force: boolean },
    signal: AbortSignal,
  ): Promise<readonly LfsLockResult[]>;
  /** Cached ones where `isCached`; else asks the server. */
  locks(
    filter: {
      readonly path?: string | undefined;
      readonly id?: string | undefined;
      readonly limit?: number | undefined;
      readonly isCached?: boolean;
    },
    signal: AbortSignal,
  ): Promise<readonly LfsLock[]>;
  verifyLocks(signal: AbortSignal): Promise<VerifiedLocks>;
}

/** What became of locking or unlocking one path. */
export interface LfsLockResult {
  readonly path: string;
  readonly lock: LfsLock | undefined;
  /** Why it failed, for the user. */
  readonly error: string | undefined;
}

/** Large files of all mounts. */
export interface LfsCare {
  /**
   * Removes large files from the local store that can be fetched again: those that the server confirms to have, and that
   * no active folder, no change that was not pushed, and no open file needs.
   */
  prune(options: { readonly dryRun: boolean; readonly verifyRemote: boolean }): LfsRun;
  /** Shares files with the stores of git-lfs (`.git/lfs/objects`) in the given repositories, in both directions. */
  dedup(repositories: readonly string[]): LfsRun;
  /** Patterns of the daemon-wide attributes (historic API); all that are there afterwards. */
  trackPatterns(patterns: readonly string[]): Promise<readonly string[]>;
  untrackPatterns(patterns: readonly string[]): Promise<readonly string[]>;
  trackedPatterns(): Promise<readonly string[]>;
}
