// Serves mounts in this process: upstream, store, layer, overlay and FUSE put together, once for each mount.
import { setTimeout as delay } from 'node:timers/promises';
import type { FuseBinding } from '../fuse/choose-binding.ts';
import type { FuseMount, OpenRequests } from '../fuse/fuse-mount.ts';
import type { Layer } from '../layers/layer.ts';
import { createTreeCache, type TreeCache } from '../layers/monorepo.ts';
import type { LazyObjects } from '../objects/lazy-objects.ts';
import type { MemoryBudget } from '../overlay/memory-budget.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { linkAbort } from '../util/abort-link.ts';
import { ErrnoError } from '../util/errno.ts';
import type { Logger } from '../util/logger.ts';
import { clearDeadMount, detachMount } from './dead-mount.ts';
import type { LargeFiles, MountedLargeFiles } from './lfs/large-files.ts';
import type { LfsCare, MountLfs } from './lfs/mount-lfs.ts';
import { MountError } from './mount-error.ts';
import type {
  MountEnd,
  MountHost,
  MountLfsReport,
  MountMemory,
  MountReport,
  MountSnapshot,
  MountSpec,
  PrefetchProgress,
  PrefetchReport,
  PrefetchRequest,
} from './mount-host.ts';
import { openLower, type Lower } from './open-lower.ts';
import { runPrefetch } from './prefetch/prefetch-run.ts';
import { serveOverlay, type ServedOverlay } from './serve-overlay.ts';
import { isStillMounted, unmountError } from './unmount-error.ts';
import {
  checkMountpoint,
  makeMountpoint,
  removeFolders,
  resolveMountpoint,
  type MountpointRules,
} from './mountpoint.ts';

const NO_LARGE_FILES: MountLfsReport = {
  server: undefined,
  problem: undefined,
  activeFolders: [],
  transfers: [],
  failures: [],
};
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
  /** Default: pointers read as they are. */
  readonly largeFiles?: LargeFiles;
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
  readonly faults: readonly string[];
  /** What it shows, pointers as they are. */
  readonly plain: Layer;
  readonly large: MountedLargeFiles | undefined;
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
      lfs: served.large?.report() ?? NO_LARGE_FILES,
    };
  }

  get lfsCare(): LfsCare | undefined {
    return this.#options.largeFiles?.care;
  }

  lfs(id: string): MountLfs | undefined {
    return this.#served.get(id)?.large?.lfs;
  }

  async forget(id: string): Promise<void> {
    if (!this.#served.has(id)) await this.#options.largeFiles?.forget(id);
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
    const { plain, spec, gone } = served;
    const snapshot = { ...served.snapshot, path: Buffer.from(spec.path).toString('latin1') };
    const link = linkAbort(signal, gone.signal, this.#closing.signal);
    const onWarning = (message: string): void => log.info(message, { path: spec.path });
    const { upperDir } = spec;
    const parts = { snapshot, layer: plain, objects, upperDir, onWarning };
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
      const lower = await openLower(spec, {
        ...this.#options,
        trees: this.#trees,
        closing: this.#closing.signal,
      });
      const made = await makeMountpoint(mountpoint, spec);
      try {
        await this.#serve(spec, lower, mountpoint, made.length > 0);
      } catch (error) {
        await removeFolders(made);
        throw error;
      }
    } finally {
      this.#taken.delete(mountpoint);
    }
    return this.report(spec.id) as MountReport;
  }

  /** Mounts, and keeps the mount. */
  async #serve(spec: MountSpec, lower: Lower, mountpoint: string, owns: boolean): Promise<void> {
    const { binding, memory, largeFiles, log } = this.#options;
    const { snapshot, layer: plain } = lower;
    const large = largeFiles?.open({ spec, snapshot, plain });
    let overlay: ServedOverlay;
    try {
      overlay = await serveOverlay(spec, {
        binding,
        layer: large?.layer ?? plain,
        mountpoint,
        memory,
        openRequests: this.#options.openRequests ?? 'auto',
        makeRoom: () => this.#options.makeRoomFor?.(spec.upperDir) ?? false,
        policy: large?.policy,
        listener: large?.listener,
        onControl: (control) => large?.attach(control),
        log,
      });
    } catch (error) {
      await large?.close();
      throw error;
    }
    const served: Served = {
      spec,
      snapshot: { commit: snapshot.commit, tree: snapshot.tree, time: snapshot.time },
      mountpoint,
      ownsMountpoint: owns || spec.ownsMountpoint === true,
      ...overlay,
      plain,
      large,
      gone: new AbortController(),
      unmounting: false,
      ended: false,
    };
    this.#served.set(spec.id, served);
    void overlay.fuse.ended.then(() => this.#onEnd(served));
    large?.start();
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
    await served.large?.close();
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
