// The parts that large files need, put together for all mounts of a daemon.
import { join } from 'node:path';
import { ConfigError } from '../config/config-error.ts';
import type { Config, LfsConfig } from '../config/config.ts';
import { createLfsDownloads } from '../lfs/download/create-lfs-downloads.ts';
import { openPointerStoreSoon } from '../lfs/pointers/open-pointer-store.ts';
import { createActiveFolders } from '../mount/lfs/active-folders.ts';
import { createGlobalAttributes } from '../mount/lfs/global-attributes.ts';
import { createLargeFiles, type ServedLargeFiles } from '../mount/lfs/create-large-files.ts';
import { createOwnLocks } from '../mount/lfs/own-locks.ts';
import type { LazyObjects } from '../objects/lazy-objects.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Logger } from '../util/logger.ts';
import { createPathFilter, type PathFilter } from '../util/path-filter.ts';
import { scorpioVersion } from '../util/version.ts';

/** What they are opened over. */
export interface LargeFilesBase {
  readonly store: ObjectStore;
  readonly objects: LazyObjects;
  readonly upstream: Upstream;
  readonly log: Logger;
}

/**
 * Opens them; no server is asked. Whoever closes them does so after the mounts, and before the store. Throws ConfigError
 * for patterns that mean nothing.
 */
export function openLargeFiles(config: Config, base: LargeFilesBase): ServedLargeFiles {
  const { store, objects, upstream, log } = base;
  const { storePath, lfs } = config;
  const warn = (message: string): void => log.warn(message);
  const filter = filterOf(lfs);
  const pointers = openPointerStoreSoon(join(storePath, 'pointers'), {
    onWarning: warn,
    onRebuilt: () => largeFiles.pointersLost(),
  });
  const downloads = createLfsDownloads({
    directory: storePath,
    rangesAbove: lfs.rangesAbove,
    concurrency: lfs.concurrency,
    room: store.largeFiles,
    onWarning: warn,
  });
  const globalAttributes = createGlobalAttributes(join(storePath, 'lfs', 'attributes'));
  const largeFiles = createLargeFiles({
    config: lfs,
    server: {
      baseUrl: config.baseUrl,
      lfsUrl: config.lfsUrl,
      token: config.lfsToken,
      connectTimeoutMs: config.connectTimeoutSecs * 1000,
      silenceTimeoutMs: config.fetchTimeoutSecs * 1000,
      maxAttempts: Math.max(1, config.fetchMaxRetries),
      concurrency: lfs.concurrency,
      userAgent: `scorpio/${scorpioVersion()}`,
    },
    filter,
    upstream,
    objects,
    trees: undefined,
    downloads,
    pointers,
    globalAttributes,
    activeFolders: createActiveFolders(config.configFile),
    stateRoot: join(storePath, 'lfs', 'mounts'),
    ownLocks: createOwnLocks(join(storePath, 'lfs', 'own-locks')),
    roomLeft: () => store.prefetchRoom(),
    log,
    storePath,
    closeParts: async () => {
      await downloads.close();
      await pointers.close();
    },
  });
  return largeFiles;
}

function filterOf({ include, exclude }: LfsConfig): PathFilter {
  try {
    return createPathFilter(include, exclude);
  } catch (error) {
    throw new ConfigError([`lfs_include, lfs_exclude: ${(error as Error).message}`], undefined);
  }
}
