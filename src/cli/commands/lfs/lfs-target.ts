// What a command about large files is about: the mount, and paths in it.
import { relative } from 'node:path';
import type { CliContext } from '../../cli-context.ts';
import { CliError } from '../../cli-error.ts';
import { createDaemonClient } from '../../daemon-client.ts';
import { ExitCode } from '../../exit-codes.ts';
import { requireDaemon } from '../../find-daemon.ts';
import { locateInMount, mountNamed } from '../../locate-in-mount.ts';

/** Options that name the mount. */
export interface MountOptions {
  readonly mount?: string;
  readonly job?: string;
}

/** A mount, and files in it. */
export interface LfsTarget {
  /** `http://host:port` of the daemon. */
  readonly daemonUrl: string;
  /** URL of the mount's large files. */
  readonly url: string;
  /** From the root of the mount; empty: all of it. */
  readonly paths: readonly string[];
  /** A path from the root of the mount as the user wrote such paths. */
  readonly show: (path: string) => string;
}

/**
 * Finds them. With the name of a mount, paths start at its root; else they are paths of the local disk, and none means
 * the current folder. Throws CliError: 1 without a daemon, 2 for paths that are not in one mount, 3 for an unknown name.
 */
export async function findTarget(
  { config }: CliContext,
  paths: readonly string[],
  options: MountOptions,
): Promise<LfsTarget> {
  const daemon = await requireDaemon(config);
  const mounts = await createDaemonClient(daemon).list();
  const name = options.mount ?? options.job;
  const target = (mountId: string, inside: readonly string[], show: LfsTarget['show']): LfsTarget => ({
    daemonUrl: daemon.url,
    url: `${daemon.url}/antares/mounts/${mountId}/lfs`,
    // All of the mount is all of it, whatever else is named.
    paths: inside.includes('') ? [] : inside,
    show,
  });
  if (name !== undefined && paths.length === 0) {
    return target(mountNamed(name, mounts).mount_id, [], (path) => path);
  }
  const wanted = paths.length === 0 ? ['.'] : paths;
  const places = await Promise.all(wanted.map((path) => locateInMount(path, name, mounts)));
  const [first] = places;
  const other = places.findIndex(({ mount }) => mount !== first?.mount);
  if (first === undefined || other !== -1) {
    throw new CliError(
      `error: ${wanted[0]} and ${wanted[other]} are in different mounts; name paths of one mount at a time`,
      ExitCode.config,
    );
  }
  const inside = places.map((place) => place.inside);
  if (name !== undefined) return target(first.mount.mount_id, inside, (path) => path);
  const here = await locateInMount('.', undefined, [first.mount]).catch(() => undefined);
  const show = (path: string): string =>
    here === undefined ? `${first.mount.mountpoint}/${path}` : relative(`/${here.inside}`, `/${path}`) || '.';
  return target(first.mount.mount_id, inside, show);
}
