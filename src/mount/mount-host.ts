// What the daemon asks of the side that serves mounts. Plain data only: that side is to move to a process of its own.

/** Everything needed to serve one mount. */
export interface MountSpec {
  /** Unique id (UUID). */
  readonly id: string;
  /** Path in the monorepo, normalised, leading slash. UTF-8 text. */
  readonly path: string;
  /** Commit to show; undefined: the server's head, which the result tells. */
  readonly commit: string | undefined;
  /** Absolute path of the mount point; made when missing, must be empty. */
  readonly mountpoint: string;
  /** Absolute path of the upper folder; made when missing. */
  readonly upperDir: string;
  /** Absolute path of the overlay's work folder, on the filesystem of `upperDir`; made when missing. */
  readonly workDir: string;
  /** Owner of the files that the monorepo provides. */
  readonly uid: number;
  readonly gid: number;
  readonly allowOther: boolean;
}

/** What a served mount says of itself. */
export interface MountReport {
  readonly id: string;
  /** Commit that it shows. */
  readonly commit: string;
  /** Bytes received from the server for all mounts of this process since it started. */
  readonly fetchedBytes: number;
  /** Requests sent to the server for all mounts of this process since it started. */
  readonly requests: number;
  /** The last faults met, newest last: what failed, for which path, why. */
  readonly faults: readonly string[];
}

/** A process that uses a mount. */
export interface MountUser {
  readonly pid: number;
  readonly command: string;
  /** What it holds: `cwd`, `open file PATH`, `mapped file PATH`, `executable`. */
  readonly use: string;
}

/** Serves mounts. */
export interface MountHost {
  /** Resolves when the mount answers; rejects with MountError, and leaves nothing mounted then. */
  mount(spec: MountSpec): Promise<MountReport>;
  /** Rejects with MountError of code `busy` when processes use it. */
  unmount(id: string, options?: { lazy?: boolean }): Promise<void>;
  report(id: string): MountReport | undefined;
  /** Called when a mount ended that nobody unmounted through this interface (`umount` by hand). */
  onEnded(listener: (id: string) => void): void;
  /** Unmounts all (lazily where busy) and releases what it holds. */
  close(): Promise<void>;
}
