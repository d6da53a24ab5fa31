// A filesystem mounted through one of the bindings.
import type { Filesystem, KernelNotifier } from './filesystem.ts';

/** How and where to mount. */
export interface FuseMountOptions {
  /** Absolute path of an existing, empty folder. */
  readonly mountpoint: string;
  /** Shown as the source in mountinfo, `scorpio:<path>` for example. */
  readonly source: string;
  /** Lets users other than the one that mounts use the mount (as root always possible). */
  readonly allowOther: boolean;
  /** Who new objects belong to where the binding does not learn who makes them; this process when absent. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Told of each error that is a fault of this program or of the disk rather than an ordinary errno. */
  readonly onFault?: (operation: string, error: unknown) => void;
}

/** A mounted filesystem. */
export interface FuseMount {
  readonly mountpoint: string;
  /** Number under /sys/fs/fuse/connections, undefined where unknown. */
  readonly connection: number | undefined;
  /**
   * Unmounts, waits until the kernel let go, and destroys the filesystem. Rejects with ErrnoError EBUSY when a process
   * uses the mount; `lazy` detaches it anyway, and what is open goes on working until it is closed.
   */
  unmount(options?: { lazy?: boolean }): Promise<void>;
  /** Resolves when the mount has ended, whoever ended it, and the filesystem was destroyed. */
  readonly ended: Promise<void>;
}

/** What each binding offers: the filesystem is made with the means to notify the kernel, then mounted. */
export type MountFilesystem = (
  create: (notifier: KernelNotifier) => Filesystem,
  options: FuseMountOptions,
) => Promise<FuseMount>;
