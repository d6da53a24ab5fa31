// Failures of the registry's operations, with the codes of the HTTP API.
import { MountError } from './mount-error.ts';

/**
 * - `INVALID_REQUEST`: the request cannot be fulfilled as it is.
 * - `NOT_FOUND`: no such mount.
 * - `FUSE_ERROR`: mounting failed, or the monorepo's server does not answer.
 * - `LFS_SERVER_ERROR`: the server of large files refuses, or does not answer.
 * - `INTERNAL_ERROR`: a fault of this program or of the disk.
 * - `SHUTDOWN`: the daemon is stopping.
 * - `UNSUPPORTED`: this version cannot do that.
 */
export type RegistryErrorCode =
  | 'INVALID_REQUEST'
  | 'NOT_FOUND'
  | 'FUSE_ERROR'
  | 'LFS_SERVER_ERROR'
  | 'INTERNAL_ERROR'
  | 'SHUTDOWN'
  | 'UNSUPPORTED';

/** An operation on the registry failed; the message tells the user why. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: RegistryErrorCode;

  constructor(code: RegistryErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
  }
}

/** The registry's error for whatever a mount host threw. */
export function toRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof MountError) {
    const isRequest = error.kind === 'invalid' || error.kind === 'not-found';
    const code = isRequest ? 'INVALID_REQUEST' : error.kind === 'internal' ? 'INTERNAL_ERROR' : 'FUSE_ERROR';
    return new RegistryError(code, error.message, { cause: error });
  }
  return new RegistryError('INTERNAL_ERROR', error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
