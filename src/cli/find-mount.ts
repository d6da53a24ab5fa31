// Finds the mount that a path of the local disk lies in, without touching any mount: one may be dead, or slow.
import { lstat, readlink } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { isWithin } from '../util/path-within.ts';

const MAX_LINKS = 40;

/** A mount, and where in it a path leads. */
export interface FoundMount<T> {
  readonly mount: T;
  /** From the root of the mount; empty for the root. */
  readonly inside: string;
}

/** The mount that holds a path. Symbolic links on the way to it are followed, those inside it are not. */
export async function findMount<T extends { readonly mountpoint: string }>(
  path: string,
  mounts: readonly T[],
): Promise<FoundMount<T> | undefined> {
  const direct = innermost(resolve(path), mounts, (mount) => mount.mountpoint);
  if (direct !== undefined) return direct;
  const resolved = new Map<T, string>();
  for (const mount of mounts) {
    const parent = await followLinks(dirname(mount.mountpoint), () => false);
    resolved.set(mount, resolve(parent, relative(dirname(mount.mountpoint), mount.mountpoint)));
  }
  const at = (mount: T): string => resolved.get(mount) ?? mount.mountpoint;
  const isMount = (folder: string): boolean =>
    mounts.some((mount) => folder === mount.mountpoint || folder === at(mount));
  const real = await followLinks(resolve(path), isMount);
  return innermost(real, mounts, at) ?? innermost(real, mounts, (mount) => mount.mountpoint);
}

function innermost<T>(
  path: string,
  mounts: readonly T[],
  pointOf: (mount: T) => string,
): FoundMount<T> | undefined {
  const [mount] = mounts
    .filter((each) => isWithin(path, pointOf(each)))
    .sort((a, b) => pointOf(b).length - pointOf(a).length);
  return mount === undefined ? undefined : { mount, inside: relative(pointOf(mount), path) };
}

/** Resolves symbolic links up to the first folder for which `isEnd` holds; what is below it stays as it is. */
async function followLinks(path: string, isEnd: (folder: string) => boolean): Promise<string> {
  let current = '/';
  const pending = path.split('/').filter(Boolean);
  for (let links = 0; pending.length > 0;) {
    const name = pending.shift() as string;
    if (name === '.') continue;
    const next = name === '..' ? dirname(current) : join(current, name);
    if (isEnd(next)) return resolve(next, ...pending);
    const target = await targetOf(next);
    if (target === undefined || ++links > MAX_LINKS) {
      current = next;
      continue;
    }
    if (target.startsWith('/')) current = '/';
    pending.unshift(...target.split('/').filter(Boolean));
  }
  return current;
}

async function targetOf(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch {
    return undefined;
  }
}
