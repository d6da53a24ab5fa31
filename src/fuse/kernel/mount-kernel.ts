// The binding to the FUSE of the Linux kernel: mounts a filesystem and serves it until the mount ends.
import { closeSync } from 'node:fs';
import { ErrnoError } from '../../util/errno.ts';
import { inTime } from '../../util/in-time.ts';
import { currentPath } from '../current-path.ts';
import type { Filesystem } from '../filesystem.ts';
import type { FuseMount, FuseMountFeatures, FuseMountOptions, MountFilesystem } from '../fuse-mount.ts';
import { resolveMountpoint } from '../resolve-mountpoint.ts';
import type { Attachment } from './attachment.ts';
import { mountThroughHelper } from './fusermount.ts';
import { mountAsRoot } from './mount-root.ts';
import { findMount } from './mountinfo.ts';
import { Notifications } from './notifications.ts';
import { Session, type SessionEvents } from './session.ts';

/** How long the kernel may take for the handshake. */
const INIT_TIMEOUT_MS = 10_000;
/** How long calls that are pending when a mount ends may take to notice their interrupt. */
const SETTLE_TIMEOUT_MS = 10_000;
/** How long the device may outlive a successful unmount. */
const UNMOUNT_TIMEOUT_MS = 10_000;
/** How long a lazy unmount waits for the end, which comes at once where nothing is open. */
const LAZY_GRACE_MS = 500;

/** Mounts in the way that this process may. */
async function attach(mountpoint: string, options: FuseMountOptions): Promise<Attachment> {
  if (process.geteuid?.() !== 0) return mountThroughHelper(mountpoint, options);
  try {
    return await mountAsRoot(mountpoint, options);
  } catch (error) {
    // Root of a container without the right to mount: the helper knows no better, but says why.
    if (error instanceof ErrnoError && error.code === 'EPERM') return mountThroughHelper(mountpoint, options);
    throw error;
  }
}

/** A mount, from a successful `attach` until everything is released. */
class KernelMount implements FuseMount {
  readonly mountpoint: string;
  readonly connection: number | undefined;
  readonly ended: Promise<void>;
  /** Resolves when the handshake is done, rejects when the device ends before. */
  readonly ready: Promise<void>;
  readonly #attachment: Attachment;
  readonly #session: Session;
  readonly #notifications: Notifications;

  constructor(
    mountpoint: string,
    attachment: Attachment,
    filesystem: Filesystem,
    notifications: Notifications,
    options: FuseMountOptions,
  ) {
    const { onFault = () => undefined } = options;
    this.#notifications = notifications;
    this.mountpoint = mountpoint;
    this.connection = findMount(mountpoint)?.minor;
    this.#attachment = attachment;
    let onReady!: () => void;
    let onFailed!: (error: Error) => void;
    let onEnded!: () => void;
    this.ready = new Promise((resolve, reject) => {
      onReady = resolve;
      onFailed = reject;
    });
    this.ended = new Promise((resolve) => {
      onEnded = resolve;
    });
    const events: SessionEvents = {
      onFault,
      onReady: (features) => {
        notifications.open(attachment.fd, features);
        onReady();
      },
      onEnd: (error) => {
        if (error) onFault('READ', error);
        onFailed(error ?? new ErrnoError('ENODEV', `the mount on ${mountpoint} ended before it was ready`));
        void this.#release(filesystem, notifications, onFault).then(onEnded);
      },
    };
    this.#session = new Session(attachment.fd, filesystem, events, options.openRequests);
    // Whoever waits for `ready` learns of it; after that nobody does.
    this.ready.catch(() => undefined);
  }

  get features(): FuseMountFeatures {
    return {
      passthrough: this.#notifications.passthrough !== undefined && !this.#session.omitsOpen,
      openRequests: !this.#session.omitsOpen,
    };
  }

  async unmount({ lazy = false }: { lazy?: boolean } = {}): Promise<void> {
    const path = this.#session.isOpen ? currentPath(this.connection, this.mountpoint) : undefined;
    if (path !== undefined) await this.#attachment.detach(path, lazy);
    if (lazy) {
      await inTime(this.ended, LAZY_GRACE_MS);
    } else if (!(await inTime(this.ended, UNMOUNT_TIMEOUT_MS + SETTLE_TIMEOUT_MS))) {
      throw new ErrnoError(
        'EBUSY',
        `${this.mountpoint} is unmounted here, but something still holds the filesystem, another mount namespace for example`,
      );
    }
  }

  /** Ends the session of a mount that never came up. */
  abandon(error: Error): void {
    this.#session.stop(error);
  }

  async #release(
    filesystem: Filesystem,
    notifications: Notifications,
    onFault: (operation: string, error: unknown) => void,
  ): Promise<void> {
    try {
      if (!(await inTime(this.#session.settle(), SETTLE_TIMEOUT_MS))) {
        onFault('DESTROY', new ErrnoError('ETIMEDOUT', 'calls did not end when their mount did'));
      }
      await notifications.close();
      closeSync(this.#attachment.fd);
      await filesystem.destroy();
    } catch (error) {
      onFault('DESTROY', error);
    }
  }
}

/**
 * Mounts through the FUSE protocol of the Linux kernel: as root by the system call, otherwise through fusermount3.
 * Resolves when the mount answers. Rejects with ErrnoError, whose message tells what to do.
 */
export const mountKernel: MountFilesystem = async (create, options) => {
  const onFault = options.onFault ?? (() => undefined);
  const mountpoint = await resolveMountpoint(options.mountpoint);
  const notifications = new Notifications(onFault);
  const filesystem = create(notifications);
  let attachment: Attachment;
  try {
    attachment = await attach(mountpoint, options);
  } catch (error) {
    await filesystem.destroy();
    throw error;
  }
  const mount = new KernelMount(mountpoint, attachment, filesystem, notifications, options);
  if (await inTime(mount.ready, INIT_TIMEOUT_MS)) return mount;
  const error = new ErrnoError('ETIMEDOUT', `the kernel did not start the mount on ${mountpoint}`);
  await attachment.detach(mountpoint, true).catch((cause: unknown) => onFault('UNMOUNT', cause));
  mount.abandon(error);
  await mount.ended;
  throw error;
};
