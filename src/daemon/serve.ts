// The daemon: puts the parts together, serves until it is told to stop, and takes them apart in reverse order.
import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { parseAddress } from '../config/check-value.ts';
import type { Config } from '../config/config.ts';
import { chooseBinding } from '../fuse/choose-binding.ts';
import { createHttpApp } from '../http/app.ts';
import { detachMount } from '../mount/dead-mount.ts';
import { createLfsTasks } from '../mount/lfs/create-lfs-tasks.ts';
import { createLocalMountHost } from '../mount/local-mount-host.ts';
import type { MountHost } from '../mount/mount-host.ts';
import { startPrefetchSchedule } from '../mount/prefetch/prefetch-schedule.ts';
import { MountRegistry } from '../mount/registry.ts';
import { MemoryBudget } from '../overlay/memory-budget.ts';
import { createLazyObjects } from '../objects/lazy-objects.ts';
import { openObjectStore } from '../objects/object-store.ts';
import { createMegaUpstream } from '../upstream/mega/mega-upstream.ts';
import type { Logger } from '../util/logger.ts';
import { scorpioVersion } from '../util/version.ts';
import { withoutCredentials } from '../util/without-credentials.ts';
import { takePlace } from './daemon-file.ts';
import { listen } from './listen.ts';
import { openLargeFiles } from './open-large-files.ts';
import { watchStopSignals } from './stop-signals.ts';

/** How long requests that are under way may take to end when the daemon stops. */
const HTTP_CLOSE_TIMEOUT_MS = 2000;
const IDLE_SWEEP_MS = 20;
/** How long stopping may take as a whole. */
const STOP_TIMEOUT_MS = 10_000;
/** How long mounts that cannot be brought back hold up the message that the daemon is ready. */
const RECOVERY_GRACE_MS = 5000;
const LAST_DETACH_TIMEOUT_MS = 2000;

/** How to serve. */
export interface ServeOptions {
  readonly log: Logger;
  /** Called when the daemon listens and the mounts of the last run are back, with `host:port`. */
  readonly onReady?: (address: string) => void;
}

/** Something that is open, and how to close it. */
type Closer = () => Promise<void>;

/**
 * Serves mounts until SIGTERM, SIGINT or SIGHUP; resolves with the exit code. At the end nothing is mounted any more;
 * the state file keeps the mounts, and the next call brings them back. Rejects with BindError when another daemon serves
 * this store, or has the address; with StoreError, or what the disk says, when a file of the daemon cannot be used.
 */
export async function serve(config: Config, options: ServeOptions): Promise<number> {
  const { log } = options;
  const signals = watchStopSignals(log);
  // In the order of opening; closed in reverse.
  const closers: Closer[] = [async () => signals.dispose()];
  try {
    const { address, mountpoints } = await start(config, options, closers);
    const server = withoutCredentials(config.baseUrl);
    log.info('listening', { address, store: config.storePath, server, pid: process.pid });
    warnOfOpenAddress(address, log);
    const code = await signals.stopped;
    const clean = await Promise.race([closeAll(closers, log), signals.forced.then(() => false)]);
    if (!clean) await detachAll(mountpoints(), log);
    return clean ? code : 1;
  } catch (error) {
    await closeAll(closers, log);
    throw error;
  }
}

interface Started {
  readonly address: string;
  /** Where something is mounted now. */
  readonly mountpoints: () => string[];
}

async function start(config: Config, options: ServeOptions, closers: Closer[]): Promise<Started> {
  const { log } = options;
  const startedAtMs = Date.now();
  const place = takePlace(config.storePath, config.stateFile);
  closers.push(() => place.release());
  const host = await openHost(config, log, closers);
  const registry = await MountRegistry.load({
    host,
    stateFile: config.stateFile,
    upperRoot: config.upperRoot,
    mountRoot: config.mountRoot,
    allowOther: config.allowOther ?? isRoot(),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mayChooseOwner: isRoot(),
    log,
  });
  const version = scorpioVersion();
  const prefetchSchedule = startPrefetchSchedule({
    registry,
    paths: config.prefetchPaths,
    intervalMs: config.prefetchIntervalSecs * 1000,
    log,
  });
  const lfsTasks = createLfsTasks();
  const app = createHttpApp({
    registry,
    version,
    startedAtMs,
    storePath: config.storePath,
    server: withoutCredentials(config.baseUrl),
    prefetchSchedule,
    lfsTasks,
    log,
  });
  // Together: requests that wait for a mount get their answer because the registry stops.
  closers.push(async () => void (await Promise.all([registry.stop(), closeHttp(app)])));
  closers.push(async () => prefetchSchedule?.stop());
  closers.push(() => lfsTasks.close());
  // The address comes before the mounts: when it is taken, nothing has happened yet.
  const address = await listen(app, config.httpAddr);
  const recovered = registry.recover();
  const info = { pid: process.pid, address, startedAt: new Date(startedAtMs).toISOString(), version };
  await place.announce(info).catch((error: unknown) => {
    // On a full disk: what is mounted is served all the same, and commands look at http_addr, too.
    log.warn('commands may not find this daemon: daemon.json cannot be written', { error });
  });
  const grace = delay(RECOVERY_GRACE_MS, undefined, { ref: false });
  void Promise.race([recovered, grace]).then(() => options.onReady?.(address));
  return {
    address,
    mountpoints: () => registry.list().flatMap((record) => registry.report(record.mountId)?.mountpoint ?? []),
  };
}

/** The parts that serve mounts. */
async function openHost(config: Config, log: Logger, closers: Closer[]): Promise<MountHost> {
  const binding = await chooseBinding(config.fuseBinding);
  if (binding.name !== 'kernel') {
    log.warn('mounts are limited by their binding', { binding: binding.name, reason: binding.reason });
  }
  const store = openObjectStore(config.storePath, {
    onWarning: (message) => log.warn(message),
    budget: { limit: config.storeLimit, keepFree: config.storeKeepFree },
  });
  closers.push(() => store.close());
  store.keepWithinBudget();
  const upstream = createMegaUpstream({
    baseUrl: config.baseUrl,
    connectTimeoutMs: config.connectTimeoutSecs * 1000,
    requestTimeoutMs: config.fetchTimeoutSecs * 1000,
    maxAttempts: config.fetchMaxRetries,
    concurrency: config.fetchConcurrency,
    userAgent: `scorpio/${scorpioVersion()}`,
    log: (message) => log.debug(message),
  });
  closers.push(() => upstream.close());
  const objects = createLazyObjects({ store, upstream });
  closers.push(() => objects.close());
  const largeFiles = openLargeFiles(config, { store, objects, upstream, log });
  closers.push(() => largeFiles.close());
  return createLocalMountHost({
    upstream,
    objects,
    binding,
    memory: new MemoryBudget(config.memoryBudget),
    largeFiles,
    openRequests: config.openRequests,
    makeRoomFor: (folder) => isSameDisk(folder, config.storePath) && store.makeRoom(),
    traffic: () => ({ fetchedBytes: upstream.counters.bytesReceived, requests: upstream.counters.requests }),
    rules: {
      reserved: [config.storePath, config.upperRoot, config.clRoot],
      allowed: [config.mountRoot, config.workspace],
    },
    log,
  });
}

/** Closes in reverse order; resolves with whether all of it ended in time. */
async function closeAll(closers: Closer[], log: Logger): Promise<boolean> {
  const closing = (async (): Promise<boolean> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
      await close().catch((error: unknown) => log.error('a part did not stop in order', { error }));
    }
    return true;
  })();
  const late = delay(STOP_TIMEOUT_MS, false, { ref: false });
  const inTime = await Promise.race([closing, late]);
  if (!inTime) log.error('stopping takes too long; giving up on an orderly end');
  return inTime;
}

async function closeHttp(app: FastifyInstance): Promise<void> {
  const closing = app.close();
  // Connections that fall idle while the last answers go out would be kept for the next request otherwise.
  const sweeper = setInterval(() => app.server.closeIdleConnections(), IDLE_SWEEP_MS);
  const timer = setTimeout(() => app.server.closeAllConnections(), HTTP_CLOSE_TIMEOUT_MS);
  await closing.finally(() => {
    clearInterval(sweeper);
    clearTimeout(timer);
  });
}

/** The last resort: a mount whose process is gone answers every access with an error, so none may stay. */
async function detachAll(mountpoints: readonly string[], log: Logger): Promise<void> {
  const detaching = mountpoints.map(async (mountpoint) => {
    log.warn('detaching a mount that did not end in time', { mountpoint });
    await detachMount(mountpoint).catch((error: unknown) =>
      log.error('cannot unmount', { mountpoint, error }),
    );
  });
  await Promise.race([Promise.all(detaching), delay(LAST_DETACH_TIMEOUT_MS, undefined, { ref: false })]);
}

function warnOfOpenAddress(address: string, log: Logger): void {
  const host = parseAddress(address)?.host ?? '';
  if (host.startsWith('127.') || host === '::1') return;
  log.warn('the HTTP API has no password, and listens where other machines may reach it', { address });
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Whether what goes in one folder is room in the other. */
function isSameDisk(one: string, other: string): boolean {
  try {
    return statSync(one).dev === statSync(other).dev;
  } catch {
    return false;
  }
}
