// A request for a mount: checked and normalised.
import { isAbsolute, resolve } from 'node:path';
import { describeState, type MountRecord } from './mount-record.ts';
import { RegistryError } from './registry-error.ts';

/** What a client asks for, as it arrives. */
export interface CreateMountRequest {
  readonly jobId?: string | null | undefined;
  /** Another name for the job; counts only where `jobId` is absent. */
  readonly buildId?: string | null | undefined;
  readonly path: string;
  readonly cl?: string | null | undefined;
  /** Where to mount; default a folder of the daemon's mount root. */
  readonly mountpoint?: string | null | undefined;
  /** Owner of the files; honoured where the registry allows a choice. */
  readonly uid?: number | null | undefined;
  readonly gid?: number | null | undefined;
}

/** What a client wants, normalised. */
export interface WantedMount {
  readonly jobId: string | null;
  readonly path: string;
  readonly cl: null;
  readonly mountpoint: string | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Checks and normalises a request. Throws RegistryError INVALID_REQUEST. */
export function resolveMountRequest(request: CreateMountRequest): WantedMount {
  // A blank job_id hides the build_id: clients rely on neither, but on both being the same everywhere.
  const task = (request.jobId ?? request.buildId ?? '').trim();
  const mountpoint = request.mountpoint ?? undefined;
  if (mountpoint !== undefined && !isAbsolute(mountpoint)) {
    throw new RegistryError(
      'INVALID_REQUEST',
      `mountpoint ${JSON.stringify(mountpoint)} must be an absolute path`,
    );
  }
  if (mountpoint?.includes('\0') === true) {
    throw new RegistryError('INVALID_REQUEST', 'mountpoint must not contain a NUL byte');
  }
  if (request.cl !== undefined && request.cl !== null) {
    throw new RegistryError('INVALID_REQUEST', 'change lists are not supported yet; leave "cl" out');
  }
  return {
    jobId: task === '' ? null : task,
    path: normalisePath(request.path),
    cl: null,
    mountpoint: mountpoint === undefined ? undefined : resolve(mountpoint),
    uid: request.uid ?? undefined,
    gid: request.gid ?? undefined,
  };
}

/** A path of the monorepo with a leading slash and no trailing one. Throws RegistryError INVALID_REQUEST. */
export function normalisePath(path: string): string {
  const trimmed = path.trim();
  if (trimmed === '') throw new RegistryError('INVALID_REQUEST', 'path cannot be empty');
  if (trimmed.includes('\0')) throw new RegistryError('INVALID_REQUEST', 'path must not contain a NUL byte');
  const names = trimmed.split('/').filter(Boolean);
  if (names.some((name) => name === '.' || name === '..')) {
    throw new RegistryError('INVALID_REQUEST', `path ${trimmed} must not contain "." or ".."`);
  }
  return `/${names.join('/')}`;
}

/**
 * Whether an active mount answers a request as well (true), has nothing to do with it (false), or is in its way:
 * then throws RegistryError INVALID_REQUEST. Without a job, two mounts of one path are never meant to be the same.
 */
export function isAnsweredBy(wanted: WantedMount, record: MountRecord): boolean {
  const same = record.path === wanted.path && record.cl === wanted.cl;
  if (wanted.jobId !== record.jobId) return false;
  if (wanted.jobId === null) {
    // A mount that failed to come back is no obstacle: asking again is asking to try again.
    if (same && typeof record.state !== 'string') return true;
    if (!same) return false;
    throw new RegistryError('INVALID_REQUEST', `path ${wanted.path} with cl None is already mounted`);
  }
  const task = `job_id/build_id '${wanted.jobId}'`;
  if (!same) throw new RegistryError('INVALID_REQUEST', `${task} already mounted with different path/cl`);
  if (wanted.mountpoint !== undefined && wanted.mountpoint !== record.mountpoint) {
    throw new RegistryError(
      'INVALID_REQUEST',
      `${task} already mounted at ${record.mountpoint}; unmount it first, or choose another job id`,
    );
  }
  if (['Quiescing', 'Unmounting', 'Unmounted'].includes(record.state as string)) {
    throw new RegistryError(
      'INVALID_REQUEST',
      `${task} is currently in state ${describeState(record.state)}; retry after unmount completes`,
    );
  }
  return true;
}
