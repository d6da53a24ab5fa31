// Which paths of a mount a user means.
import { MountError } from '../mount-error.ts';
import type { LfsSelection } from './mount-lfs.ts';

/** Paths: latin1, no leading slash, `''` for the root; all where none is named. Throws MountError for what is none. */
export function selectedPaths({ paths }: LfsSelection): readonly string[] {
  if (paths.length === 0) return [''];
  const selected = paths.map((path) => {
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    if (names.includes('..'))
      throw new MountError('invalid', `${path}: name paths from the root of the mount`);
    return Buffer.from(names.join('/')).toString('latin1');
  });
  // One inside another is meant by that already. There may be very many: not each is compared with each.
  const all = new Set(selected);
  return [...all].filter((path) => path === '' || !hasFolderIn(parentOf(path), all));
}

/** A test for being one of the selected paths, or inside one. */
export function createSelection(selected: readonly string[]): (path: string) => boolean {
  const all = new Set(selected);
  return (path) => hasFolderIn(path, all);
}

/** Whether a path, or a folder above it, is in a set. */
function hasFolderIn(path: string, folders: ReadonlySet<string>): boolean {
  for (let at = path; at !== ''; at = parentOf(at)) {
    if (folders.has(at)) return true;
  }
  return folders.has('');
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
