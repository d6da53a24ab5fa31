// Which mount a command means, and where in it: by the mount's name, else by where the paths lie.
import { join, relative, resolve } from 'node:path';
import { CliError } from './cli-error.ts';
import type { MountStatus } from './daemon-client.ts';
import { ExitCode } from './exit-codes.ts';
import { findMount } from './find-mount.ts';

/** A place in a mount. */
export interface Place {
  readonly mount: MountStatus;
  /** From the root of the mount; empty for the root. */
  readonly inside: string;
}

/** A mount by its job id, mount id or mount point. Throws CliError. */
export function mountNamed(name: string, mounts: readonly MountStatus[]): MountStatus {
  const mount =
    mounts.find((each) => each.job_id === name) ??
    mounts.find((each) => each.mount_id === name.toLowerCase()) ??
    mounts.find((each) => each.mountpoint === resolve(name));
  if (mount === undefined) throw new CliError(`job ${name} not found`, ExitCode.mount);
  return mount;
}

/**
 * The mount, and the path in it. With the name of a mount the path starts at its root, else it is one of the local disk.
 * Throws CliError: 2 for a path that is in no mount, 3 for an unknown name.
 */
export async function locateInMount(
  path: string,
  name: string | undefined,
  mounts: readonly MountStatus[],
): Promise<Place> {
  if (path === '') throw new CliError('error: the path is empty', ExitCode.config);
  if (name !== undefined) {
    const mount = mountNamed(name, mounts);
    const inside = relative(mount.mountpoint, join(mount.mountpoint, path));
    if (inside.split('/', 1)[0] === '..') {
      throw new CliError(`error: ${path} leads out of the mount of job ${name}`, ExitCode.config);
    }
    return { mount, inside };
  }
  const found = await findMount(path, mounts);
  if (found !== undefined) return found;
  const known =
    mounts.length === 0 ? 'nothing is mounted' : `mounted are ${mounts.map((m) => m.mountpoint).join(', ')}`;
  throw new CliError(`error: ${resolve(path)} is not in a mount; ${known}`, ExitCode.config);
}
