// Whether one path lies inside another, by their text alone: the disk is not asked.

/** Whether `path` is `folder` or lies below it. Both are absolute and normalised. */
export function isWithin(path: string, folder: string): boolean {
  if (folder === '/') return path.startsWith('/');
  return path === folder || (path.startsWith(folder) && path[folder.length] === '/');
}
