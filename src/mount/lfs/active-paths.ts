// Paths of checked-out folders: those of the monorepo in the record, those of one mount for its user.
import { isWithin } from '../../util/path-within.ts';
import { shown } from './mount-content.ts';

/** The path in the monorepo of a path of a mount (latin1). UTF-8 text, as `repositoryPath`. */
export function toRepositoryPath(repositoryPath: string, path: string): string {
  if (path === '') return repositoryPath;
  return `${repositoryPath === '/' ? '' : repositoryPath}/${shown(path)}`;
}

/** The same as messages about a large file name it: without the leading slash. */
export function toWantedPath(repositoryPath: string, path: string): string {
  return toRepositoryPath(repositoryPath, path).slice(1);
}

/** Which paths of a mount (UTF-8, no leading slash) the recorded folders mean; `''`: all of it. */
export function inMount(repositoryPath: string, recorded: readonly string[]): readonly string[] {
  if (recorded.some((folder) => isWithin(repositoryPath, folder))) return [''];
  const start = repositoryPath === '/' ? 1 : repositoryPath.length + 1;
  return recorded.filter((folder) => isWithin(folder, repositoryPath)).map((folder) => folder.slice(start));
}
