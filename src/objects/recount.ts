// Compares what is noted of the blobs with the files that there are, one folder at a time.
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { isObjectId } from '../util/git-hash.ts';
import type { ObjectId } from '../util/types.ts';
import { footprint } from './disk-budget.ts';
import { codeOf } from '../util/disk-full.ts';
import type { Usage, UsageDb } from './usage-db.ts';

/** Folders of the store: one for each first byte of an id. */
export const STORE_FOLDERS = 256;

const ROWS_PER_TRANSACTION = 256;

async function filesIn(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Notes the blobs below `objects` whose ids begin with the byte `prefix` and that are not known (an earlier version
 * stored them, or a crash came before they were noted), and forgets the known ones that are gone. The last use of a blob
 * is not in its file: the time of its last change of status stands for it, which is when it was stored, or first opened
 * after a start of the machine. Rejects with Node's errors.
 */
export async function recountFolder(
  objects: string,
  prefix: number,
  usage: UsageDb,
  signal: AbortSignal,
): Promise<void> {
  const name = prefix.toString(16).padStart(2, '0');
  const folder = `${objects}/${name}`;
  const gone = usage.withPrefix(prefix);
  const found: [ObjectId, Usage][] = [];
  for (const entry of await filesIn(folder)) {
    const id = `${name}${entry.name}`;
    if (!entry.isFile() || !isObjectId(id) || gone.delete(id)) continue;
    const stats = await stat(`${folder}/${entry.name}`).catch(() => undefined);
    if (stats !== undefined)
      found.push([id, { bytes: footprint(stats.size), used: Math.floor(stats.ctimeMs) }]);
    if (signal.aborted) return;
    if (found.length >= ROWS_PER_TRANSACTION) usage.note(found.splice(0));
  }
  usage.note(found);
  const lost: ObjectId[] = [];
  for (const id of gone) {
    // It may have come while the folder was read.
    const exists = await stat(`${folder}/${id.slice(2)}`).catch(() => undefined);
    if (signal.aborted) return;
    if (exists === undefined) lost.push(id);
    if (lost.length >= ROWS_PER_TRANSACTION) usage.remove(lost.splice(0));
  }
  usage.remove(lost);
}
