// Large files of all mounts: hands out those of each, and tells them of what concerns them.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TransferFailure } from '../../lfs/download/lfs-downloads.ts';
import { createDedupRun } from './dedup-run.ts';
import type { LargeFiles, MountedLargeFiles, PlainMount } from './large-files.ts';
import type { LfsCare } from './mount-lfs.ts';
import { MountedLfs, type SharedLfsParts } from './open-mount-lfs.ts';
import { createPruneRun, type PrunedMount } from './prune-run.ts';

/** Parts of all, and what closes them. */
export interface LargeFilesParts extends SharedLfsParts {
  /** The local store's folder. */
  readonly storePath: string;
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
  parts.downloads.onArrived((object) => {
    for (const mount of mounts) mount.noteArrival(object);
  });
  const { downloads, globalAttributes, storePath, log } = parts;
  const served = (): PrunedMount[] =>
    [...mounts].map(({ lfs, server }) => ({ server, neededOids: (signal) => lfs.neededOids(signal) }));
  const care: LfsCare = {
    prune: createPruneRun({ downloads, mounts: served, log }),
    dedup: createDedupRun({ downloads, storePath, log }),
    trackPatterns: (patterns) => globalAttributes.track(patterns),
    untrackPatterns: (patterns) => globalAttributes.untrack(patterns),
    trackedPatterns: async () => globalAttributes.list(),
  };
  return {
    care,
    open(plain: PlainMount): MountedLargeFiles {
      const mount = new MountedLfs(parts, plain, () => mounts.delete(mount));
      mounts.add(mount);
      return mount;
    },
    async forget(mountId) {
      const folder = join(parts.stateRoot, mountId);
      await Promise.all([
        parts.pointers.forgetMount(mountId),
        rm(folder, { recursive: true, force: true }),
      ]).catch((error: unknown) =>
        log.warn('what was known of a mount could not be removed', { folder, error }),
      );
    },
    pointersLost() {
      for (const mount of mounts) mount.learnPointers();
    },
    close: () => parts.closeParts(),
  };
}
