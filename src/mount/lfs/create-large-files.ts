// Large files of all mounts: hands out those of each, and tells them of what concerns them.
import type { TransferFailure } from '../../lfs/download/lfs-downloads.ts';
import type { LargeFiles, MountedLargeFiles, PlainMount } from './large-files.ts';
import type { LfsCare } from './mount-lfs.ts';
import { MountedLfs, type SharedLfsParts } from './open-mount-lfs.ts';

/** Parts of all, and what closes them. */
export interface LargeFilesParts extends SharedLfsParts {
  /** Makes what concerns all mounts. `mounts` are those that serve just now. */
  readonly createCare: (mounts: () => readonly MountedLfs[]) => LfsCare | undefined;
  /** Closes the shared parts; when no mount is left. */
  readonly closeParts: () => Promise<void>;
}

/** All of them, and how to tell that the pointer store was begun anew. */
export interface ServedLargeFiles extends LargeFiles {
  /** The pointer store was begun anew: mounts learn what the local store can tell. */
  pointersLost(): void;
}

/** Makes them. */
export function createLargeFiles(parts: LargeFilesParts): ServedLargeFiles {
  const mounts = new Set<MountedLfs>();
  parts.downloads.onFailure((failure: TransferFailure) => {
    const { path, oid, reason } = failure;
    parts.log.warn('a large file could not be fetched; reading it again tries again', { path, oid, reason });
    for (const mount of mounts) mount.noteFailure(failure);
  });
  return {
    care: parts.createCare(() => [...mounts]),
    open(plain: PlainMount): MountedLargeFiles {
      const mount = new MountedLfs(parts, plain, () => mounts.delete(mount));
      mounts.add(mount);
      return mount;
    },
    pointersLost() {
      for (const mount of mounts) mount.learnPointers();
    },
    close: () => parts.closeParts(),
  };
}
