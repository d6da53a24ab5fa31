// Removes what arrived of large files that nobody asked for any more.
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isLfsOid, type LfsOid } from '../lfs-object.ts';
import type { LargeFileRoom } from './downloads-options.ts';

/** How long they are kept after the last byte came. */
const STALE_AFTER_MS = 30 * 24 * 60 * 60 * 1000;

/** Removes the old ones that are not in use. Never rejects. `directory` is the store's. */
export async function removeStaleArrivals(
  directory: string,
  isInUse: (oid: LfsOid) => boolean,
  room: LargeFileRoom | undefined,
): Promise<void> {
  const folder = join(directory, 'lfs', 'incomplete');
  for (const oid of (await readdir(folder).catch(() => [])).filter(isLfsOid)) {
    try {
      const stats = await stat(join(folder, oid, 'data')).catch(() => stat(join(folder, oid)));
      if (Date.now() - stats.mtimeMs < STALE_AFTER_MS || isInUse(oid)) continue;
      await rm(join(folder, oid), { recursive: true, force: true });
      room?.arrived(oid, 0);
    } catch {
      // The next start tries again.
    }
  }
}
