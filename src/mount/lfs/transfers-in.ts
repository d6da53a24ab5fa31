// Transfers and failures of a mount, picked out of those of all mounts.
import type { WantedObject } from '../../lfs/lfs-object.ts';

/**
 * Those whose path is in a mount, with their paths from its root. What comes in has paths of the monorepo without a
 * leading slash; `mountPath` is the mount's, with one (`/` for all). UTF-8 text.
 */
export function transfersIn<T extends Pick<WantedObject, 'path'>>(
  items: readonly T[],
  mountPath: string,
): T[] {
  const prefix = mountPath === '/' ? '' : `${mountPath.slice(1)}/`;
  return items.flatMap((item) =>
    item.path.startsWith(prefix) ? [{ ...item, path: item.path.slice(prefix.length) }] : [],
  );
}
