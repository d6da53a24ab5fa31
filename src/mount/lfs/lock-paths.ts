// Which lock a file of a mount has: paths of the mount, and the paths under which servers keep locks.
import { withoutSlashesAround } from '../../util/slashes.ts';
import { MountError } from '../mount-error.ts';

/** Paths of one mount and of its repository. */
export interface LockPaths {
  /** The path under which a file of the mount is locked. */
  toServer(path: string): string;
  /**
   * Paths by which a lock may mean a file of the mount: from the monorepo's root, or from the mount's, as git-lfs in a
   * clone of the folder has it. The first that is known counts. UTF-8 text.
   */
  serverPathsOf(path: string): readonly string[];
  /** Files of the mount that a lock may mean, surest first. UTF-8 text. */
  mountPathsOf(serverPath: string): readonly string[];
}

/** For the mount of a path of the monorepo (UTF-8 text, with a leading slash). */
export function createLockPaths(repositoryPath: string): LockPaths {
  const prefix = repositoryPath.split('/').filter((name) => name !== '');
  const folder = prefix.length === 0 ? '' : `${prefix.join('/')}/`;
  return {
    toServer: (path) => folder + path,
    serverPathsOf: (path) => (folder === '' ? [path] : [folder + path, path]),
    mountPathsOf: (serverPath) =>
      folder !== '' && serverPath.startsWith(folder)
        ? [serverPath.slice(folder.length), serverPath]
        : [serverPath],
  };
}

/** A path of a mount as users write it, without slashes around it. Throws MountError (`invalid`) for what is no file. */
export function lockablePath(text: string): string {
  const path = withoutSlashesAround(text);
  const isPath = path !== '' && path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
  if (!isPath || path.includes('\0')) {
    throw new MountError('invalid', `${JSON.stringify(text)} is no path of a file in the mount`);
  }
  return path;
}
