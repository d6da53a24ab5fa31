// A filesystem mounted through one of the bindings.
import type { Filesystem, KernelNotifier } from './filesystem.ts';

/**
 * Whether the kernel asks for each file that is opened: always, never, or as the filesystem finds best, which may give
 * the asking up later, for good. Passthrough needs the asking.
 */
export type OpenRequests = 'auto' | 'always' | 'never';

/** What a mount got of what kernels may offer. */
export interface FuseMountFeatures {
  /** The kernel can read and write large files on the local disk by itself. */
  readonly passthrough: boolean;
  /** The kernel asks for each file that is opened. */
  readonly openRequests: boolean;
}

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
  /** Default `auto`. */
  readonly openRequests?: OpenRequests;
  /** Told of each error that is a fault of this program or of the disk rather than an ordinary errno. */
  readonly onFault?: (operation: string, error: unknown) => void;
}

/** A mounted filesystem. */
export interface FuseMount {
  readonly mountpoint: string;
  /** Number under /sys/fs/fuse/connections, undefined where unknown. */
  readonly connection: number | undefined;
  /** As it is now: a mount may change from one way of opening files to another. */
  readonly features: FuseMountFeatures;
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
