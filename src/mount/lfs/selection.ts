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
  // One inside another is meant by that already.
  return [...new Set(selected)].filter(
    (path) => !selected.some((other) => other !== path && isBelow(path, other)),
  );
}

/** Whether a path is one of the selected ones, or inside one. */
export function isSelected(path: string, selected: readonly string[]): boolean {
  return selected.some((folder) => isBelow(path, folder));
}

function isBelow(path: string, folder: string): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`);
}
