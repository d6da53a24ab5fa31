// Failures of large files as errors of the HTTP API.
import { MountError } from '../../mount/mount-error.ts';
import { RegistryError, toRegistryError } from '../../mount/registry-error.ts';

/** The error for whatever the side that serves mounts threw. What the LFS server did is not a fault of FUSE. */
export function toLfsFailure(error: unknown): RegistryError {
  const kind = error instanceof MountError ? error.kind : undefined;
  if (kind !== 'upstream' && kind !== 'busy') return toRegistryError(error);
  const code = kind === 'upstream' ? 'LFS_SERVER_ERROR' : 'INVALID_REQUEST';
  return new RegistryError(code, (error as MountError).message, { cause: error });
}

/** Waits for work about large files. Rejects with RegistryError. */
export async function lfsAnswer<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toLfsFailure(error);
  }
}
