// Serves mounts in this process: upstream, store, layer, overlay and FUSE put together, once for each mount.
import { chown, mkdir, rmdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { FuseBinding } from '../fuse/choose-binding.ts';
import type { FuseMount, OpenRequests } from '../fuse/fuse-mount.ts';
import { listMounts } from '../fuse/kernel/mountinfo.ts';
import type { Layer } from '../layers/layer.ts';
import { createMonorepoLayer, createTreeCache, type TreeCache } from '../layers/monorepo.ts';
import type { LazyObjects } from '../objects/lazy-objects.ts';
import type { MemoryBudget } from '../overlay/memory-budget.ts';
import { createOverlay } from '../overlay/overlay.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { Snapshot, Upstream } from '../upstream/upstream.ts';
import { linkAbort } from '../util/abort-link.ts';
import { ErrnoError } from '../util/errno.ts';
import type { Logger } from '../util/logger.ts';
import { isWithin } from '../util/path-within.ts';
import { clearDeadMount, detachMount } from './dead-mount.ts';
import type { LfsCare, MountLfs } from './lfs/mount-lfs.ts';
import { MountError } from './mount-error.ts';
import type {
  MountEnd,
  MountHost,
  MountMemory,
  MountReport,
  MountSnapshot,
  MountSpec,
  PrefetchProgress,
  PrefetchReport,
  PrefetchRequest,
} from './mount-host.ts';
import { describeMountUsers, findMountUsers } from './mount-users.ts';
import { findPathsInUse } from './paths-in-use.ts';
import { runPrefetch } from './prefetch/prefetch-run.ts';
import {
  checkMountpoint,
  makeMountpoint,
  removeFolders,
  resolveMountpoint,
  type MountpointRules,
} from './mountpoint.ts';

/** How long the server may take until a mount is ready, in milliseconds. */
const MOUNT_TIMEOUT_MS = 120_000;
const MAX_FAULTS = 20;
/** A mount that is busy although nobody is seen to use it is tried again, so often and after such a pause. */
const MAX_UNMOUNT_ROUNDS = 4;
const UNMOUNT_PAUSE_MS = 100;

/** The parts that all mounts share. The caller closes them, after the host. */
export interface LocalMountHostOptions {
  readonly upstream: Upstream;
  readonly objects: LazyObjects;
  readonly binding: FuseBinding;
  /** What all mounts share of the memory; default: no limit. */
  readonly memory?: MemoryBudget;
  /** Called when the disk of the folder is full: removes something there; whether there was something. */
  readonly makeRoomFor?: (folder: string) => boolean;
  /** What the upstream has transferred so far. */
  readonly traffic: () => { readonly fetchedBytes: number; readonly requests: number };
  readonly rules: MountpointRules;
  /** Whether the kernel asks for each file that is opened; default `auto`. */
  readonly openRequests?: OpenRequests;
  readonly log: Logger;
}

/** Makes the host. */
export function createLocalMountHost(options: LocalMountHostOptions): MountHost {
  return new LocalMountHost(options);
}

/** A mount that is served. */
interface Served {
  readonly spec: MountSpec;
  readonly snapshot: MountSnapshot;
  /** Resolved. */
  readonly mountpoint: string;
  readonly ownsMountpoint: boolean;
  readonly fuse: FuseMount;
  readonly layer: Layer;
  readonly faults: string[];
  /** Aborts when the mount is gone. */
  readonly gone: AbortController;
  /** Somebody here is unmounting it: its end is no surprise. */
  unmounting: boolean;
  /** Nothing uses it any more. */
  ended: boolean;
}

class LocalMountHost implements MountHost {
  readonly #options: LocalMountHostOptions;
  readonly #trees: TreeCache;
  readonly #served = new Map<string, Served>();
  /** Mounts in the making, by id. */
  readonly #pending = new Map<string, Promise<unknown>>();
  /** Mount points of those, so that two do not take the same one. */
  readonly #taken = new Set<string>();
  /** Upper folders of mounts that were detached, and that processes still use. */
  readonly #lingering = new Set<string>();
  readonly #listeners: ((id: string, end: MountEnd) => void)[] = [];
  readonly #closing = new AbortController();
  readonly #prefetching = new Set<Promise<unknown>>();

  constructor(options: LocalMountHostOptions) {
    this.#options = options;
    const trees = createTreeCache(options.memory?.cacheBytes);
    this.#trees = trees;
    options.memory?.join({
      inodes: 0,
      forgotten: 0,
      get byteLength() {
        return trees.weight;
      },
      reclaim: async () => trees.clear(),
      dropCaches: () => trees.clear(),
    });
  }

  async mount(spec: MountSpec): Promise<MountReport> {
    if (this.#closing.signal.aborted) throw new MountError('internal', 'the daemon is stopping');
    if (this.#served.has(spec.id) || this.#pending.has(spec.id)) {
      throw new MountError('internal', `mount ${spec.id} exists already`);
    }
    const mounting = this.#mount(spec);
    this.#pending.set(
      spec.id,
      mounting.catch(() => undefined),
    );
    try {
      return await mounting;
    } finally {
      this.#pending.delete(spec.id);
    }
  }

  async unmount(id: string, { lazy = false }: { lazy?: boolean } = {}): Promise<void> {
    const served = this.#served.get(id);
    if (served === undefined) return;
    served.unmounting = true;
    for (let round = 1; ; round++) {
      try {
        await served.fuse.unmount({ lazy });
        break;
      } catch (error) {
        // Gone from here, and only another mount namespace holds it: as after a lazy unmount.
        if (!isStillMounted(served)) break;
        const reason = await unmountError(served, error);
        // Somebody else unmounted it meanwhile.
        if (served.ended) break;
        // Somebody was just passing by.
        if (reason.kind === 'busy' && reason.users.length === 0 && round < MAX_UNMOUNT_ROUNDS) {
          await delay(UNMOUNT_PAUSE_MS);
          continue;
        }
        served.unmounting = false;
        throw reason;
      }
    }
    if (!served.ended) this.#linger(served);
    await this.#forget(served);
  }

  report(id: string): MountReport | undefined {
    const served = this.#served.get(id);
    if (served === undefined) return undefined;
    const { snapshot, mountpoint, ownsMountpoint, faults } = served;
    return {
      id,
      commit: snapshot.commit,
      snapshot,
      mountpoint,
      ownsMountpoint,
      binding: { name: this.#options.binding.name, limits: this.#options.binding.limits },
      features: served.fuse.features,
      ...this.#options.traffic(),
      faults: [...faults],
      lfs: { server: undefined, problem: undefined, activeFolders: [], transfers: [], failures: [] },
    };
  }

  get lfsCare(): LfsCare | undefined {
    return undefined;
  }

  lfs(_id: string): MountLfs | undefined {
    return undefined;
  }

  memory(): MountMemory | undefined {
    return this.#options.memory?.report();
  }

  async prefetch(
    id: string,
    request: PrefetchRequest,
    onProgress: (progress: PrefetchProgress) => void,
    signal: AbortSignal,
  ): Promise<PrefetchReport> {
    const served = this.#served.get(id);
    if (served === undefined) throw new MountError('invalid', `mount ${id} does not serve`);
    const { objects, log } = this.#options;
    const { layer, spec, gone } = served;
    const snapshot = { ...served.snapshot, path: Buffer.from(spec.path).toString('latin1') };
    const link = linkAbort(signal, gone.signal, this.#closing.signal);
    const onWarning = (message: string): void => log.info(message, { path: spec.path });
    const { upperDir } = spec;
    const parts = { snapshot, layer, objects, upperDir, onWarning };
    const running = runPrefetch(parts, request, onProgress, link.signal);
    this.#prefetching.add(running);
    try {
      return await running;
    } catch (error) {
      throw link.signal.aborted ? link.signal.reason : prefetchError(error);
    } finally {
      this.#prefetching.delete(running);
      link.unlink();
    }
  }

  onEnded(listener: (id: string, end: MountEnd) => void): void {
    this.#listeners.push(listener);
  }

  async clearDead(mountpoint: string): Promise<void> {
    const path = await resolveMountpoint(mountpoint, { reserved: [], allowed: [] });
    if (!this.#isOurs(path)) await clearDeadMount(path);
  }

  async close(): Promise<void> {
    this.#closing.abort(new MountError('internal', 'the daemon is stopping'));
    await Promise.all(this.#pending.values());
    await Promise.allSettled(this.#prefetching);
    await Promise.all([...this.#served.values()].map((served) => this.#closeOne(served)));
  }

  async #mount(spec: MountSpec): Promise<MountReport> {
    const mountpoint = await resolveMountpoint(spec.mountpoint, this.#options.rules);
    if (this.#isOurs(mountpoint)) {
      throw new MountError(
        'invalid',
        `${mountpoint} is the mount point of another mount; choose another folder`,
      );
    }
    if (this.#lingering.has(spec.upperDir)) {
      throw new MountError(
        'invalid',
        'processes still use the earlier mount of the same job; end them, then mount again',
      );
    }
    this.#taken.add(mountpoint);
    try {
      await clearDeadMount(mountpoint);
      await checkMountpoint(mountpoint);
      const { layer, snapshot } = await this.#openLayer(spec);
      const made = await makeMountpoint(mountpoint, spec);
      try {
        await this.#serve(spec, { layer, snapshot, mountpoint, owns: made.length > 0 });
      } catch (error) {
        await removeFolders(made);
        throw error;
      }
    } finally {
      this.#taken.delete(mountpoint);
    }
    return this.report(spec.id) as MountReport;
  }

  /** Finds out what the path is, and learns its root folder: the first listing must not be the first to fail. */
  async #openLayer(spec: MountSpec): Promise<{ layer: Layer; snapshot: Snapshot }> {
    const { upstream, objects, log } = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(MOUNT_TIMEOUT_MS), this.#closing.signal]);
    const path = Buffer.from(spec.path).toString('latin1');
    const known = spec.snapshot;
    try {
      const { commit } = spec;
      const snapshot: Snapshot =
        known === undefined
          ? await upstream.resolve(path, commit === undefined ? { signal } : { signal, commit })
          : { ...known, path };
      const layer = createMonorepoLayer({
        snapshot,
        objects,
        trees: this.#trees,
        onWarning: (message) => log.warn(message, { path: spec.path }),
      });
      await layer.list(layer.root, { signal });
      return { layer, snapshot };
    } catch (error) {
      if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
      const { message } = error as Error;
      if (error instanceof UpstreamError && error.kind === 'not-found') {
        throw new MountError('not-found', `cannot mount ${spec.path}: ${message}`, { cause: error });
      }
      const isServer = error instanceof UpstreamError || error instanceof ErrnoError || signal.aborted;
      const reason = signal.aborted
        ? `${upstream.url} took longer than ${MOUNT_TIMEOUT_MS / 1000} s`
        : message;
      throw new MountError(isServer ? 'upstream' : 'internal', `cannot mount ${spec.path}: ${reason}`, {
        cause: error,
      });
    }
  }

  /** Mounts, and keeps the mount. */
  async #serve(
    spec: MountSpec,
    parts: { layer: Layer; snapshot: Snapshot; mountpoint: string; owns: boolean },
  ): Promise<void> {
    const { binding, memory, log } = this.#options;
    const { layer, mountpoint, snapshot } = parts;
    const { upperDir, workDir, uid, gid } = spec;
    const madeUpper = await makeUpper(spec);
    const faults: string[] = [];
    let fuse: FuseMount;
    try {
      fuse = await binding.mountFilesystem(
        (notifier) =>
          createOverlay({
            layer,
            upperDir,
            workDir,
            uid,
            gid,
            notifier,
            ...(memory === undefined ? {} : { memory }),
            makeRoom: () => this.#options.makeRoomFor?.(upperDir) ?? false,
            findPathsInUse: () => findPathsInUse(mountpoint, spec.allowOther),
          }),
        {
          mountpoint,
          source: `scorpio:${spec.path}`,
          allowOther: spec.allowOther,
          owner: { uid, gid },
          openRequests: this.#options.openRequests ?? 'auto',
          onFault: (operation, error) => {
            const { message } = error as Error;
            faults.push(`${operation}: ${message}`);
            if (faults.length > MAX_FAULTS) faults.shift();
            log.warn('a file operation failed', { mountpoint, operation, error });
          },
        },
      );
    } catch (error) {
      if (madeUpper) await rmdir(upperDir).catch(() => undefined);
      throw new MountError('fuse', `cannot mount at ${mountpoint}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const served: Served = {
      spec,
      snapshot: { commit: snapshot.commit, tree: snapshot.tree, time: snapshot.time },
      mountpoint,
      ownsMountpoint: parts.owns || spec.ownsMountpoint === true,
      fuse,
      layer,
      faults,
      gone: new AbortController(),
      unmounting: false,
      ended: false,
    };
    this.#served.set(spec.id, served);
    void fuse.ended.then(() => this.#onEnd(served));
  }

  /** The mount is gone; unless somebody here wanted that, tells the listeners. */
  async #onEnd(served: Served): Promise<void> {
    served.ended = true;
    if (served.unmounting) return;
    served.unmounting = true;
    const died = isStillMounted(served);
    if (died) {
      await detachMount(served.mountpoint).catch((error: unknown) => {
        this.#options.log.error('cannot clear a mount that broke', { mountpoint: served.mountpoint, error });
      });
    }
    await this.#forget(served);
    for (const listener of this.#listeners) listener(served.spec.id, died ? 'died' : 'unmounted');
  }

  async #closeOne(served: Served): Promise<void> {
    const { log } = this.#options;
    const { mountpoint, spec } = served;
    try {
      await this.unmount(spec.id).catch(async (error: unknown) => {
        log.warn('detaching a mount that is in use; what was written is kept', { mountpoint, error });
        await this.unmount(spec.id, { lazy: true });
      });
    } catch (error) {
      log.error('cannot unmount', { mountpoint, error });
    }
  }

  /** Keeps the upper folder from being mounted again while processes use the detached mount. */
  #linger(served: Served): void {
    const { upperDir } = served.spec;
    this.#lingering.add(upperDir);
    void served.fuse.ended.then(() => this.#lingering.delete(upperDir));
  }

  async #forget(served: Served): Promise<void> {
    served.gone.abort(new MountError('internal', 'the mount has ended'));
    this.#served.delete(served.spec.id);
    if (served.ownsMountpoint && !isStillMounted(served)) await removeFolders([served.mountpoint]);
  }

  #isOurs(mountpoint: string): boolean {
    if (this.#taken.has(mountpoint)) return true;
    return [...this.#served.values()].some((served) => served.mountpoint === mountpoint);
  }
}

function prefetchError(error: unknown): Error {
  if (error instanceof UpstreamError || error instanceof ErrnoError) {
    const isDisk = error instanceof ErrnoError;
    return new MountError(isDisk ? 'internal' : 'upstream', error.message, { cause: error });
  }
  return error as Error;
}

/** Makes the upper folder where it is missing: the root of the mount, so it belongs to the user. */
async function makeUpper({ upperDir, uid, gid }: MountSpec): Promise<boolean> {
  try {
    const made = (await mkdir(upperDir, { recursive: true, mode: 0o755 })) !== undefined;
    if (made && process.geteuid?.() === 0) await chown(upperDir, uid, gid);
    return made;
  } catch (error) {
    throw new MountError(
      'internal',
      `cannot make the upper folder ${upperDir}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** Whether the kernel still shows the mount, be it dead or alive. */
function isStillMounted({ mountpoint, fuse }: Served): boolean {
  const found = listMounts().filter((mount) => mount.mountpoint === mountpoint);
  return found.some((mount) => mount.minor === fuse.connection);
}

async function unmountError({ mountpoint }: Served, error: unknown): Promise<MountError> {
  if (!(error instanceof ErrnoError) || error.code !== 'EBUSY') {
    const { message } = error as Error;
    return new MountError('fuse', `cannot unmount ${mountpoint}: ${message}`, { cause: error });
  }
  const users = await findMountUsers(mountpoint);
  const inner = listMounts().find(
    (mount) => mount.mountpoint !== mountpoint && isWithin(mount.mountpoint, mountpoint),
  );
  const holders = [
    ...(users.length > 0 ? [describeMountUsers(users)] : []),
    ...(inner === undefined ? [] : [`a mount at ${inner.mountpoint}`]),
  ];
  const by = holders.length > 0 ? holders.join(' and ') : 'a process that cannot be seen';
  return new MountError('busy', `${mountpoint} is in use by ${by}`, { cause: error, users });
}
