// The binding over the package fuse-native: mounts a filesystem and serves it until the mount ends.
import { Errno, ErrnoError } from '../../util/errno.ts';
import { inTime } from '../../util/in-time.ts';
import { currentPath } from '../current-path.ts';
import type { Filesystem, KernelNotifier } from '../filesystem.ts';
import type { FuseMount, FuseMountFeatures, FuseMountOptions, MountFilesystem } from '../fuse-mount.ts';
import { detachThroughHelper } from '../kernel/fusermount.ts';
import { detachAsRoot } from '../kernel/mount-root.ts';
import { findMount } from '../kernel/mountinfo.ts';
import { resolveMountpoint } from '../resolve-mountpoint.ts';
import { deviceState, listDevices } from './device.ts';
import { libfuseOptions, MOST_OPTION_BYTES } from './libfuse-options.ts';
import { checkBeforeMount } from './preflight.ts';
import { NativeSession, notStarted } from './native-session.ts';
import { loadFuseNative, type FuseNativeAddon } from './package.ts';
import { PathFilesystem } from './path-filesystem.ts';

/** How long the kernel may take for the handshake. */
const INIT_TIMEOUT_MS = 10_000;
/** How long calls that are pending when a mount ends may take to notice their interrupt. */
const SETTLE_TIMEOUT_MS = 10_000;
/** How long libfuse may take to end its threads after a successful unmount. */
const UNMOUNT_TIMEOUT_MS = 10_000;
/** How long a lazy unmount waits for the end, which comes at once where nothing is open. */
const LAZY_GRACE_MS = 500;
/** How often the device is looked at: while nobody waits for the end, and while somebody does. */
const WATCH_INTERVAL_MS = 100;
const EAGER_INTERVAL_MS = 5;

/**
 * What the package's native half keeps pointers to. It never lets go of them: handles of the event loop lie in this
 * memory, one for each mount and for each thread that libfuse ever started.
 */
const neverFreed: object[] = [];

/** Which mount has which device; a number that appears anew was closed before. */
const devices = new Map<number, NativeMount>();

async function detach(mountpoint: string, lazy: boolean): Promise<void> {
  if (process.geteuid?.() !== 0) return detachThroughHelper(mountpoint, lazy);
  try {
    await detachAsRoot(mountpoint, lazy);
  } catch (error) {
    // Root of a container without the right to unmount.
    if (error instanceof ErrnoError && error.code === 'EPERM') return detachThroughHelper(mountpoint, lazy);
    throw error;
  }
}

/** A mount, from a successful mount of libfuse until everything is released. */
class NativeMount implements FuseMount {
  readonly mountpoint: string;
  readonly connection: number | undefined;
  readonly ended: Promise<void>;
  readonly features: FuseMountFeatures = { passthrough: false, openRequests: true };
  readonly #device: number;
  readonly #session: NativeSession;
  readonly #release: () => Promise<void>;
  #onEnded!: () => void;
  #timer: NodeJS.Timeout | undefined;
  #eager = false;
  #isOver = false;

  constructor(mountpoint: string, device: number, session: NativeSession, release: () => Promise<void>) {
    this.mountpoint = mountpoint;
    this.connection = findMount(mountpoint)?.minor;
    this.#device = device;
    this.#session = session;
    this.#release = release;
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    devices.get(device)?.end();
    devices.set(device, this);
    this.#watch();
  }

  async unmount({ lazy = false }: { lazy?: boolean } = {}): Promise<void> {
    const path = this.#isOver ? undefined : currentPath(this.connection, this.mountpoint);
    if (path !== undefined) await detach(path, lazy);
    this.#eager = true;
    this.#look();
    if (lazy) {
      await inTime(this.ended, LAZY_GRACE_MS);
      this.#eager = false;
    } else if (!(await inTime(this.ended, UNMOUNT_TIMEOUT_MS + SETTLE_TIMEOUT_MS))) {
      throw new ErrnoError(
        'EBUSY',
        `${this.mountpoint} is unmounted here, but something still holds the filesystem, another mount namespace for example`,
      );
    }
  }

  /** libfuse is done with the device: nothing will be asked any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    if (devices.get(this.#device) === this) devices.delete(this.#device);
    void this.#release().then(this.#onEnded);
  }

  /** Ends a mount that never came up. */
  async abandon(): Promise<void> {
    await detach(this.mountpoint, true);
    this.#eager = true;
    await inTime(this.ended, UNMOUNT_TIMEOUT_MS);
  }

  #look(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    switch (deviceState(this.#device)) {
      case 'closed':
        this.end();
        return;
      case 'failed':
        // libfuse waits for the calls that are under way, and nobody for their answers.
        this.#session.interrupt();
        this.#eager = true;
        break;
      case 'open':
        break;
    }
    this.#watch();
  }

  #watch(): void {
    // The handle of the package keeps the process alive as long as the mount is there.
    this.#timer = setTimeout(() => this.#look(), this.#eager ? EAGER_INTERVAL_MS : WATCH_INTERVAL_MS);
    this.#timer.unref();
  }
}

/** Mounts with libfuse; returns the descriptor of its device, undefined where that is not found. Throws ErrnoError. */
function mountWithLibfuse(
  addon: FuseNativeAddon,
  mountpoint: string,
  options: FuseMountOptions,
  session: NativeSession,
  memory: Buffer,
): number | undefined {
  if (Buffer.byteLength(mountpoint) > MOST_OPTION_BYTES) {
    throw new ErrnoError(
      'ENAMETOOLONG',
      `fuse-native takes mount points of at most ${MOST_OPTION_BYTES} bytes`,
    );
  }
  const allocate = (bytes: number): Buffer => {
    const thread = Buffer.alloc(bytes);
    neverFreed.push(thread);
    return thread;
  };
  const self = {};
  neverFreed.push(memory, session, allocate, self);
  const before = listDevices();
  try {
    addon.fuse_native_mount(
      mountpoint,
      libfuseOptions(options),
      memory,
      self,
      allocate,
      session.handlers,
      session.implemented,
    );
  } catch (error) {
    throw new ErrnoError(
      'EPERM',
      `libfuse cannot mount on ${mountpoint}; what it printed on the standard error output of this process says why. ` +
        'An ordinary user needs the program fusermount (`apt-get install fuse3`) and the right to write to the folder',
      { cause: error },
    );
  }
  return [...listDevices()].find((fd) => !before.has(fd));
}

/**
 * Mounts through libfuse, by the package fuse-native. Resolves when the mount answers. Rejects with ErrnoError, or
 * FuseNativeMissing, whose messages tell what to do.
 */
export const mountFuseNative: MountFilesystem = async (create, options) => {
  const addon = loadFuseNative();
  const onFault = options.onFault ?? (() => undefined);
  const mountpoint = await resolveMountpoint(options.mountpoint);
  // Until there is one, there is nothing to notify of.
  let paths: PathFilesystem | undefined;
  const filesystem = create(forward(() => paths?.notifier));
  paths = new PathFilesystem(filesystem, (folder, name) =>
    onFault('READDIR', new ErrnoError(Errno.EILSEQ, notListed(folder, name))),
  );
  const owner = options.owner ?? { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  let onReady!: () => void;
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const session = new NativeSession(addon, paths, owner, { onReady, onFault });
  const memory = Buffer.alloc(addon.sizeof_fuse_thread_t);
  let device: number | undefined;
  try {
    await checkBeforeMount(options);
    device = mountWithLibfuse(addon, mountpoint, options, session, memory);
    if (device === undefined) {
      await detach(mountpoint, true);
      throw new ErrnoError('EIO', `libfuse mounted on ${mountpoint}, but its device is not to be found`);
    }
  } catch (error) {
    await filesystem.destroy();
    throw error;
  }
  const release = async (): Promise<void> => {
    try {
      await endFilesystem(session, filesystem, paths, onFault);
    } catch (error) {
      onFault('DESTROY', error);
    }
    addon.fuse_native_unmount(mountpoint, memory);
  };
  const mount = new NativeMount(mountpoint, device, session, release);
  const isReady = await inTime(
    Promise.race([ready, mount.ended.then(() => Promise.reject(notStarted(mountpoint)))]),
    INIT_TIMEOUT_MS,
  );
  if (isReady) return mount;
  await mount.abandon().catch((cause: unknown) => onFault('UNMOUNT', cause));
  throw new ErrnoError('ETIMEDOUT', `the kernel did not start the mount on ${mountpoint}`);
};

/** Waits for the calls that are under way, and takes the filesystem apart. */
async function endFilesystem(
  session: NativeSession,
  filesystem: Filesystem,
  paths: PathFilesystem,
  onFault: (operation: string, error: unknown) => void,
): Promise<void> {
  if (!(await inTime(session.stop(), SETTLE_TIMEOUT_MS))) {
    onFault('DESTROY', new ErrnoError('ETIMEDOUT', 'calls did not end when their mount did'));
  }
  paths.close();
  await filesystem.destroy();
}

/** A notifier for the time before the one that it stands for is there. */
function forward(target: () => KernelNotifier | undefined): KernelNotifier {
  return {
    invalidateInode: (...args) => target()?.invalidateInode(...args),
    invalidateEntry: (...args) => target()?.invalidateEntry(...args),
  };
}

function notListed(folder: string, name: string): string {
  const shown = Buffer.from(name, 'latin1').toString('utf8');
  return `${folder} has a name that is no UTF-8 and cannot be listed by this binding: ${JSON.stringify(shown)}`;
}
