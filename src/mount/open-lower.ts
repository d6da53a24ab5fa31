// What a mount shows below what the user writes: its path pinned to a commit, as a layer whose root folder is known.
import type { Layer } from '../layers/layer.ts';
import { createMonorepoLayer, type TreeCache } from '../layers/monorepo.ts';
import type { LazyObjects } from '../objects/lazy-objects.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { Snapshot, Upstream } from '../upstream/upstream.ts';
import { ErrnoError } from '../util/errno.ts';
import type { Logger } from '../util/logger.ts';
import { MountError } from './mount-error.ts';
import type { MountSpec } from './mount-host.ts';

/** How long the server may take until a mount is ready, in milliseconds. */
const MOUNT_TIMEOUT_MS = 120_000;

/** What it is opened with. */
export interface LowerParts {
  readonly upstream: Upstream;
  readonly objects: LazyObjects;
  readonly trees: TreeCache;
  /** Aborts when the daemon stops; its reason is the error. */
  readonly closing: AbortSignal;
  readonly log: Logger;
}

/** A layer, and what it shows. */
export interface Lower {
  readonly layer: Layer;
  readonly snapshot: Snapshot;
}

/**
 * Finds out what the path is, and learns its root folder: the first listing must not be the first to fail. Rejects with
 * MountError.
 */
export async function openLower(spec: MountSpec, parts: LowerParts): Promise<Lower> {
  const { upstream, objects, trees, closing, log } = parts;
  const signal = AbortSignal.any([AbortSignal.timeout(MOUNT_TIMEOUT_MS), closing]);
  const path = Buffer.from(spec.path).toString('latin1');
  const { commit, snapshot: known } = spec;
  try {
    const snapshot: Snapshot =
      known === undefined
        ? await upstream.resolve(path, commit === undefined ? { signal } : { signal, commit })
        : { ...known, path };
    const onWarning = (message: string): void => log.warn(message, { path: spec.path });
    const layer = createMonorepoLayer({ snapshot, objects, trees, onWarning });
    await layer.list(layer.root, { signal });
    return { layer, snapshot };
  } catch (error) {
    if (closing.aborted) throw closing.reason;
    const { message } = error as Error;
    if (error instanceof UpstreamError && error.kind === 'not-found') {
      throw new MountError('not-found', `cannot mount ${spec.path}: ${message}`, { cause: error });
    }
    const isServer = error instanceof UpstreamError || error instanceof ErrnoError || signal.aborted;
    const reason = signal.aborted ? `${upstream.url} took longer than ${MOUNT_TIMEOUT_MS / 1000} s` : message;
    throw new MountError(isServer ? 'upstream' : 'internal', `cannot mount ${spec.path}: ${reason}`, {
      cause: error,
    });
  }
}
