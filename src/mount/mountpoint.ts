// The folder that a mount is put on: checked, made where missing, and removed again where we made it.
import { chown, mkdir, readdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { findMount, FILESYSTEM_TYPE, listOwnMounts } from '../fuse/kernel/mountinfo.ts';
import { isWithin } from '../util/path-within.ts';
import { MountError } from './mount-error.ts';
import { resolveOutside } from './resolve-outside.ts';

const MOUNTPOINT_MODE = 0o755;

/** Folders that matter for where a mount may be. */
export interface MountpointRules {
  /** No mount point may be inside (or around) these: the daemon keeps its own files there. */
  readonly reserved: readonly string[];
  /** Except inside these. */
  readonly allowed: readonly string[];
}

/** The mount point without symbolic links. Rejects with a MountError of kind `invalid`. Touches none of our mounts. */
export async function resolveMountpoint(mountpoint: string, rules: MountpointRules): Promise<string> {
  const mounted = new Set(listOwnMounts().map((mount) => mount.mountpoint));
  const isMount = (path: string): boolean => mounted.has(path);
  const path = await resolveOutside(mountpoint, isMount);
  const allowed = await Promise.all(rules.allowed.map((folder) => resolveOutside(folder, isMount)));
  if (allowed.some((folder) => path !== folder && isWithin(path, folder))) return path;
  for (const folder of rules.reserved) {
    const reserved = await resolveOutside(folder, isMount);
    if (isWithin(path, reserved) || isWithin(reserved, path)) {
      throw new MountError(
        'invalid',
        `cannot mount at ${mountpoint}: the daemon keeps its own files in ${folder}; choose a folder outside of it`,
      );
    }
  }
  return path;
}

/**
 * Checks that a mount can be put on `path` (resolved, no mount of ours): it is missing, or an empty folder that is no
 * mount point. Rejects with a MountError of kind `invalid`.
 */
export async function checkMountpoint(path: string): Promise<void> {
  const mount = findMount(path);
  if (mount !== undefined) {
    const what = mount.type === FILESYSTEM_TYPE ? 'a mount of scorpio' : `a filesystem of type ${mount.type}`;
    throw new MountError('invalid', `${path} is a mount point already (${what}); choose another folder`);
  }
  try {
    const entries = await readdir(path);
    if (entries.length === 0) return;
    throw new MountError(
      'invalid',
      `${path} is not empty; a mount would hide what is in it. Choose an empty folder`,
    );
  } catch (error) {
    if (error instanceof MountError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    const reason = code === 'ENOTDIR' ? `${path} is not a folder` : `cannot use ${path}: ${message}`;
    throw new MountError('invalid', reason, { cause: error });
  }
}

/**
 * Makes the folder and its parents where they are missing, for the user who mounts. Resolves with those that were made,
 * innermost first. Rejects with a MountError of kind `invalid`, and leaves nothing then.
 */
export async function makeMountpoint(path: string, owner: { uid: number; gid: number }): Promise<string[]> {
  const made: string[] = [];
  try {
    const first = await mkdir(path, { recursive: true, mode: MOUNTPOINT_MODE });
    if (first === undefined) return made;
    for (let folder = path; isWithin(folder, first); folder = dirname(folder)) made.push(folder);
    if (process.geteuid?.() === 0) {
      for (const folder of made) await chown(folder, owner.uid, owner.gid);
    }
    return made;
  } catch (error) {
    await removeFolders(made);
    const { message } = error as Error;
    throw new MountError('invalid', `cannot make the mount point ${path}: ${message}`, { cause: error });
  }
}

/** Removes folders that we made, as far as they are empty and still there. Never rejects. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}
