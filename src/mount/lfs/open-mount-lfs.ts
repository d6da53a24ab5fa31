// Large files of one mount, put together: attributes, the layer that reads pointers as large files, locks, and what
// commands ask for.
import { constants } from 'node:fs';
import { join } from 'node:path';
import type { LfsConfig } from '../../config/config.ts';
import type { Layer } from '../../layers/layer.ts';
import { createLfsLayer, type LfsLayer } from '../../layers/lfs-layer.ts';
import type { TreeCache } from '../../layers/monorepo.ts';
import type { LfsClientOptions } from '../../lfs/client/create-lfs-client.ts';
import type { LfsDownloads, TransferFailure } from '../../lfs/download/lfs-downloads.ts';
import { RecentFailures } from '../../lfs/download/recent-failures.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import type { PointerStore } from '../../lfs/pointer-store.ts';
import { reasonOf } from '../../lfs/reason-of.ts';
import type { LazyObjects } from '../../objects/lazy-objects.ts';
import type { FilePolicy, OverlayControl, OverlayListener } from '../../overlay/file-policy.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import type { Logger } from '../../util/logger.ts';
import type { PathFilter } from '../../util/path-filter.ts';
import { mergedObject } from '../merged-changes.ts';
import type { MountLfsReport } from '../mount-host.ts';
import type { ActiveFolders } from './active-folders.ts';
import { createAttributeTracker, type AttributeTracker } from './attribute-tracker.ts';
import { createAttributesAbove } from './attributes-above.ts';
import { createClientProvider, type ClosableClientProvider } from './client-provider.ts';
import { createMountLfs } from './create-mount-lfs.ts';
import { createLfsFilePolicy } from './file-policy.ts';
import type { GlobalAttributes } from './global-attributes.ts';
import type { MountedLargeFiles, PlainMount } from './large-files.ts';
import { learnPointers } from './learn-pointers.ts';
import { createLockService, type LockService } from './lock-service.ts';
import type { ServedLfs } from './mount-lfs-parts.ts';
import type { OwnLocksOf } from './own-locks.ts';
import { transfersIn } from './transfers-in.ts';

/** Failures that the status of a mount shows. */
const MAX_FAILURES = 20;

/** What all mounts share. */
export interface SharedLfsParts {
  readonly config: LfsConfig;
  /** How to talk to LFS servers. */
  readonly server: Omit<LfsClientOptions, 'path' | 'lfsConfig' | 'log' | 'warn'>;
  /** Which files of the monorepo may be large, by the configuration. */
  readonly filter: PathFilter;
  readonly upstream: Upstream;
  readonly objects: LazyObjects;
  readonly trees: TreeCache | undefined;
  readonly downloads: LfsDownloads;
  readonly pointers: PointerStore;
  readonly globalAttributes: GlobalAttributes;
  readonly activeFolders: ActiveFolders;
  /** Each mount has a folder of its id in it. */
  readonly stateRoot: string;
  /** Which locks the user took. */
  readonly ownLocks: OwnLocksOf;
  /** Bytes that may still be fetched ahead; undefined: no limit. */
  readonly roomLeft: () => number | undefined;
  readonly log: Logger;
}

/** Large files of one mount, with what the side that has all mounts needs. */
export class MountedLfs implements MountedLargeFiles {
  readonly layer: Layer;
  readonly policy: FilePolicy | undefined;
  readonly listener: OverlayListener | undefined;
  readonly lfs: ServedLfs;
  readonly #shared: SharedLfsParts;
  readonly #mount: PlainMount;
  readonly #log: Logger;
  readonly #onClosed: () => void;
  readonly #server: ClosableClientProvider;
  readonly #tracker: AttributeTracker;
  readonly #smudging: LfsLayer | undefined;
  readonly #locks: LockService;
  readonly #failures = new RecentFailures(MAX_FAILURES);
  readonly #closing = new AbortController();
  #learning: Promise<void> = Promise.resolve();
  #control: OverlayControl | undefined;

  /** Asks no server and waits for nothing. `onClosed` is called when nothing of it is left. */
  constructor(shared: SharedLfsParts, mount: PlainMount, onClosed: () => void) {
    const { config, downloads, pointers } = shared;
    const { spec, plain } = mount;
    this.#shared = shared;
    this.#mount = mount;
    this.#log = shared.log;
    this.#onClosed = onClosed;
    const stateFolder = join(shared.stateRoot, spec.id);
    this.#server = this.#createServer();
    this.#tracker = this.#createTracker(stateFolder);
    this.#smudging = this.#createLayer();
    this.layer = this.#smudging ?? plain;
    this.#locks = createLockService({
      repositoryPath: spec.path,
      client: (signal) => this.#server.client(signal),
      ownLocks: shared.ownLocks,
      hasFile: async (path, signal) => {
        const shown = await mergedObject(plain, new UpperChanges(spec.upperDir), path, signal);
        return ((shown?.upper?.mode ?? shown?.lower?.mode ?? 0) & constants.S_IFMT) === constants.S_IFREG;
      },
      refreshMs: config.locksRefreshSecs * 1000,
      log: this.#log,
      onChange: (paths) => {
        for (const path of paths) this.#control?.policyChanged(path);
      },
    });
    const smudging = this.#smudging;
    this.policy = createLfsFilePolicy({
      attributes: this.#tracker,
      locks: this.#locks,
      objectOf: (entry) => (smudging === undefined ? 'none' : smudging.knownObject(entry)),
      isStored: (oid) => downloads.has(oid),
      lockable: config.lockable,
      locked: config.locked,
      log: this.#log,
    });
    this.listener = this.#tracker.listener;
    this.lfs = createMountLfs({
      mountId: spec.id,
      repositoryPath: spec.path,
      plain,
      layer: this.layer,
      upperDir: spec.upperDir,
      objects: shared.objects,
      snapshot: mount.snapshot,
      anyPointer: config.smudge === 'any-pointer',
      downloads,
      server: this.#server,
      attributes: this.#tracker,
      lowerAttributes: this.#tracker.source,
      pointers,
      locks: this.#locks,
      activeFolders: shared.activeFolders,
      stateFolder,
      concurrency: config.concurrency,
      roomLeft: shared.roomLeft,
      log: this.#log,
    });
  }

  /** The LFS server, for whoever verifies or fetches what this mount needs. */
  get server(): ClosableClientProvider {
    return this.#server;
  }

  attach(control: OverlayControl): void {
    this.#control = control;
    this.#tracker.attach(control);
  }

  start(): void {
    this.#locks.start();
    this.lfs.start();
    if (this.#shared.pointers.wasRebuilt) this.learnPointers();
  }

  report(): MountLfsReport {
    const { transfers } = this.#shared.downloads.status();
    return {
      server: this.#server.url,
      problem: this.#server.problem,
      activeFolders: this.lfs.activeFolders,
      transfers: transfersIn(transfers, this.#mount.spec.path),
      failures: this.#failures.list(),
    };
  }

  /** A large file could not be had (path in the monorepo); those of this mount are kept for its status. */
  noteFailure(failure: TransferFailure): void {
    for (const here of transfersIn([failure], this.#mount.spec.path)) this.#failures.add(here);
  }

  /** A large file has come. */
  noteArrival({ oid, size }: LfsObject): void {
    this.#failures.forget(oid, size);
  }

  /** The pointer store was begun anew: learns in the background what the local store can tell. */
  learnPointers(): void {
    const { objects, pointers, downloads } = this.#shared;
    const { spec, plain } = this.#mount;
    const isStored = (oid: string): boolean => downloads.has(oid);
    const parts = { mountId: spec.id, plain, objects, pointers, isStored };
    this.#learning = learnPointers(parts, this.#closing.signal).then(
      (found) => this.#log.info('pointers were learned anew', { path: spec.path, pointers: found }),
      (error: unknown) => this.#log.info('pointers are learned as they are met', { path: spec.path, error }),
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#smudging?.close();
    await Promise.allSettled([this.lfs.close(), this.#locks.close(), this.#learning]);
    this.#tracker.close();
    await this.#server.close();
    this.#onClosed();
  }

  #createServer(): ClosableClientProvider {
    const { spec, plain } = this.#mount;
    const log = this.#log;
    const fields = { path: spec.path };
    return createClientProvider(
      {
        ...this.#shared.server,
        path: spec.path,
        log: (message) => log.debug(message, fields),
        warn: (message) => log.warn(message, fields),
      },
      plain,
    );
  }

  #createTracker(stateFolder: string): AttributeTracker {
    const { upstream, objects, trees, globalAttributes } = this.#shared;
    const { spec, snapshot, plain } = this.#mount;
    const onWarning = (message: string): void => this.#log.warn(message, { path: spec.path });
    return createAttributeTracker({
      plain,
      upperDir: spec.upperDir,
      rootPath: rootPathOf(snapshot.path),
      above: createAttributesAbove({
        snapshot,
        upstream,
        objects,
        ...(trees === undefined ? {} : { trees }),
        file: join(stateFolder, 'repository-root.json'),
        onWarning,
      }),
      global: globalAttributes,
      onWarning,
    });
  }

  #createLayer(): LfsLayer | undefined {
    const { config, filter, objects, pointers, downloads } = this.#shared;
    const { spec, snapshot, plain } = this.#mount;
    if (config.smudge === 'off') return undefined;
    return createLfsLayer(plain, {
      smudge: config.smudge,
      attributes: this.#tracker.source,
      filter,
      rootPath: rootPathOf(snapshot.path),
      objects,
      pointers,
      downloads,
      client: (signal) => this.#server.client(signal),
      onOpened: (path, pointer) => pointers.notePath(spec.id, path, pointer),
      onFailure: ({ oid, size, path }, error) => {
        this.noteFailure({ oid, size, path, reason: reasonOf(error.message, path), atMs: Date.now() });
      },
    });
  }
}

/** A snapshot's path as layers have it: no leading slash, `''` for all. */
function rootPathOf(path: string): string {
  return path.replace(/^\//u, '');
}
