// Mounting one overlay: its folders, the union, and the session with the kernel.
import { chown, mkdir, rmdir } from 'node:fs/promises';
import type { FuseBinding } from '../fuse/choose-binding.ts';
import type { FuseMount, OpenRequests } from '../fuse/fuse-mount.ts';
import type { Layer } from '../layers/layer.ts';
import type { FilePolicy, OverlayControl, OverlayListener } from '../overlay/file-policy.ts';
import type { MemoryBudget } from '../overlay/memory-budget.ts';
import { createOverlay } from '../overlay/overlay.ts';
import type { Logger } from '../util/logger.ts';
import { MountError } from './mount-error.ts';
import type { MountSpec } from './mount-host.ts';
import { findPathsInUse } from './paths-in-use.ts';

const MAX_FAULTS = 20;

/** What one overlay is made of, beside what its spec says. */
export interface OverlayParts {
  readonly binding: FuseBinding;
  readonly layer: Layer;
  /** Resolved. */
  readonly mountpoint: string;
  readonly memory: MemoryBudget | undefined;
  readonly openRequests: OpenRequests;
  /** Called when the disk of the upper folder is full: removes something there; whether there was something. */
  readonly makeRoom: () => boolean;
  readonly policy: FilePolicy | undefined;
  readonly listener: OverlayListener | undefined;
  /** Called with the overlay's control before anything can use the mount. */
  readonly onControl: (control: OverlayControl) => void;
  readonly log: Logger;
}

/** A mount that serves. */
export interface ServedOverlay {
  readonly fuse: FuseMount;
  /** The last faults, newest last; it grows. */
  readonly faults: readonly string[];
}

/** Mounts. Rejects with MountError, and leaves no folder behind then that was not there. */
export async function serveOverlay(spec: MountSpec, parts: OverlayParts): Promise<ServedOverlay> {
  const { binding, layer, memory, mountpoint, policy, listener, log } = parts;
  const { upperDir, workDir, uid, gid } = spec;
  const madeUpper = await makeUpper(spec);
  const faults: string[] = [];
  try {
    const fuse = await binding.mountFilesystem(
      (notifier) => {
        const overlay = createOverlay({
          layer,
          upperDir,
          workDir,
          uid,
          gid,
          notifier,
          ...(memory === undefined ? {} : { memory }),
          ...(policy === undefined ? {} : { policy }),
          ...(listener === undefined ? {} : { listener }),
          makeRoom: parts.makeRoom,
          findPathsInUse: () => findPathsInUse(mountpoint, spec.allowOther),
        });
        parts.onControl(overlay.control);
        return overlay;
      },
      {
        mountpoint,
        source: `scorpio:${spec.path}`,
        allowOther: spec.allowOther,
        owner: { uid, gid },
        openRequests: parts.openRequests,
        onFault: (operation, error) => {
          const { message } = error as Error;
          faults.push(`${operation}: ${message}`);
          if (faults.length > MAX_FAULTS) faults.shift();
          log.warn('a file operation failed', { mountpoint, operation, error });
        },
      },
    );
    return { fuse, faults };
  } catch (error) {
    if (madeUpper) await rmdir(upperDir).catch(() => undefined);
    throw new MountError('fuse', `cannot mount at ${mountpoint}: ${(error as Error).message}`, {
      cause: error,
    });
  }
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
