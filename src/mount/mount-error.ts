// Failures of mounting and unmounting, by what the user can do about them.
import type { MountUser } from './mount-host.ts';

/**
 * - `invalid`: the request cannot be fulfilled as it is (bad path, mount point not empty, inside another mount).
 * - `not-found`: the path does not exist on the server.
 * - `upstream`: the server does not answer, or not sensibly.
 * - `busy`: processes use the mount.
 * - `fuse`: mounting itself failed (no /dev/fuse, no permission).
 * - `internal`: anything else.
 */
export type MountErrorKind = 'invalid' | 'not-found' | 'upstream' | 'busy' | 'fuse' | 'internal';

/** Mounting or unmounting failed; the message says why and what to do. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly kind: MountErrorKind;
  /** For `busy`: who. */
  readonly users: readonly MountUser[];

  constructor(
    kind: MountErrorKind,
    message: string,
    options: { cause?: unknown; users?: readonly MountUser[] } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.users = options.users ?? [];
  }
}
