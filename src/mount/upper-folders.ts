// The folders of a mount that outlive it: what the user changed, and the overlay's scratch space.
import { readdir, rm, rmdir } from 'node:fs/promises';
import type { MountRecord } from './mount-record.ts';

/** Whether the user changed anything: an upper folder that is missing or empty says no. */
export async function hasChanges(record: MountRecord): Promise<boolean> {
  try {
    return (await readdir(record.upperDir)).length > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Removes the scratch folder, and the upper folder where it is empty: nothing of the user's is there. */
export async function removeUnused(record: MountRecord): Promise<void> {
  await rm(record.workDir, { recursive: true, force: true });
  await rmdir(record.upperDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
  });
}

/** Removes all that the user changed in a mount. */
export async function purgeFolders(record: MountRecord): Promise<void> {
  await rm(record.upperDir, { recursive: true, force: true });
  await rm(record.workDir, { recursive: true, force: true });
}
