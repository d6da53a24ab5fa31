// Compares what is noted of the store's files with those that there are, one folder at a time.
import { existsSync, type Dirent, type Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { isObjectId } from '../util/git-hash.ts';
import type { ObjectId } from '../util/types.ts';
import { footprint } from './disk-budget.ts';
import { arrivingId, isLargeFileId, storedFilePath } from './stored-file.ts';
import { codeOf } from '../util/disk-full.ts';
import type { Usage, UsageDb } from './usage-db.ts';

/** Folders of the store: one for each first byte of an id. */
export const STORE_FOLDERS = 256;

const ROWS_PER_TRANSACTION = 256;

async function filesIn(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** A file that was found, and what it takes. */
interface Found {
  readonly id: ObjectId;
  readonly path: string;
}

async function blobsIn(directory: string, prefix: string): Promise<Found[]> {
  const folder = `${directory}/objects/${prefix}`;
  return (await filesIn(folder))
    .filter((entry) => entry.isFile() && isObjectId(`${prefix}${entry.name}`))
    .map(({ name }) => ({ id: `${prefix}${name}`, path: `${folder}/${name}` }));
}

async function largeFilesIn(directory: string, prefix: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const { name } of await filesIn(`${directory}/lfs/objects/${prefix}`)) {
    const folder = `${directory}/lfs/objects/${prefix}/${name}`;
    for (const entry of await filesIn(folder)) {
      if (entry.isFile() && isOid(entry.name))
        found.push({ id: entry.name, path: `${folder}/${entry.name}` });
    }
  }
  for (const { name } of await filesIn(`${directory}/lfs/incomplete`)) {
    if (!isOid(name) || !name.startsWith(prefix)) continue;
    const id = arrivingId(name);
    found.push({ id, path: storedFilePath(directory, id) });
  }
  return found;
}

const isOid = (name: string): boolean => /^[0-9a-f]{64}$/u.test(name);

/** Bytes of disk that a large file takes for itself: none where another store has it as well. */
function ownBytes(directory: string, id: ObjectId, stats: Stats): number {
  const names = existsSync(`${directory}/protected/${id}`) ? 2 : 1;
  // An arriving one has holes.
  return stats.nlink > names ? 0 : Math.min(footprint(stats.size), stats.blocks * 512);
}

/**
 * Notes the files of the store in `directory` whose ids begin with the byte `prefix` and that are not known (an earlier
 * version stored them, or a crash came before they were noted), and forgets the known ones that are gone. The last use
 * of a file is not in it: the time of its last change of status stands for it, which is when it was stored, or first
 * opened after a start of the machine. Rejects with Node's errors.
 */
export async function recountFolder(
  directory: string,
  prefix: number,
  usage: UsageDb,
  signal: AbortSignal,
): Promise<void> {
  const name = prefix.toString(16).padStart(2, '0');
  const gone = usage.withPrefix(prefix);
  const found: [ObjectId, Usage][] = [];
  const files = [...(await blobsIn(directory, name)), ...(await largeFilesIn(directory, name))];
  for (const { id, path } of files) {
    const isLarge = isLargeFileId(id);
    // There are few large files, and what they take changes: they arrive, or become shared.
    if (gone.delete(id) && !isLarge) continue;
    const stats = await stat(path).catch(() => undefined);
    if (signal.aborted) return;
    if (stats === undefined) continue;
    const bytes = isLarge ? ownBytes(directory, id, stats) : footprint(stats.size);
    const known = isLarge ? usage.find(id) : undefined;
    if (known?.bytes === bytes) continue;
    found.push([id, { bytes, used: known?.used ?? Math.floor(stats.ctimeMs) }]);
    if (found.length >= ROWS_PER_TRANSACTION) usage.note(found.splice(0));
  }
  usage.note(found);
  const lost: ObjectId[] = [];
  for (const id of gone) {
    // It may have come while the folder was read.
    const exists = await stat(storedFilePath(directory, id)).catch(() => undefined);
    if (signal.aborted) return;
    if (exists === undefined) lost.push(id);
    if (lost.length >= ROWS_PER_TRANSACTION) usage.remove(lost.splice(0));
  }
  usage.remove(lost);
}
