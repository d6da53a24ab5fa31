// Failures of large files as those who ask a mount get them.
import { LfsError } from '../../lfs/lfs-error.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import { MountError, type MountErrorKind } from '../mount-error.ts';

/** What the user can do about a failure, by its kind; others are the server's. */
const LOCAL_KINDS: Partial<Record<LfsError['kind'], MountErrorKind>> = {
  invalid: 'invalid',
  'no-space': 'internal',
  aborted: 'internal',
};

/** The error to reject with: that of the signal when it has aborted. */
export function toMountError(error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted === true) return toMountError(signal.reason);
  if (error instanceof MountError) return error;
  const { message } = error as Error;
  if (error instanceof LfsError) {
    return new MountError(LOCAL_KINDS[error.kind] ?? 'upstream', message, { cause: error });
  }
  return new MountError(error instanceof UpstreamError ? 'upstream' : 'internal', message, { cause: error });
}
