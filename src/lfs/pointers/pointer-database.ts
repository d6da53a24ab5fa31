// The database of the pointer store: opening it, telling damage from other failures, and setting a damaged one aside.
import { existsSync, readdirSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Level } from 'level';
import { LfsError } from '../lfs-error.ts';
import { DamagedRecordError, FORMAT, FORMAT_KEY } from './pointer-records.ts';

/** Each open table takes a descriptor; tables hold 2 MiB. */
const MAX_OPEN_FILES = 200;

/** A database of keys and values as bytes. */
export type PointerDatabase = Level<Buffer, Buffer>;

/** The database cannot be used any more: its files contradict each other, or another version wrote it. */
export class DamagedDatabaseError extends Error {
  override readonly name = 'DamagedDatabaseError';
}

/** What LevelDB says where the machine is at fault, and the files are not. */
const NOT_DAMAGE = [
  'No space left on device',
  'Disk quota exceeded',
  'Permission denied',
  'Operation not permitted',
  'Read-only file system',
  'Too many open files',
  'Input/output error',
  'Cannot allocate memory',
];

/**
 * Opens the database in a folder, or makes it. Takes as long for many entries as for few. Rejects with
 * DamagedDatabaseError; with LfsError (`conflict`) when another process has it; with what the disk says.
 */
export async function openPointerDatabase(folder: string): Promise<PointerDatabase> {
  // LevelDB takes tables without the file that lists them for rubbish, and begins anew without a word.
  if (hasTablesOnly(folder)) throw new DamagedDatabaseError('its file CURRENT is missing');
  // Many modules: whoever starts a process does not wait for them.
  const level = await import('level');
  const database: PointerDatabase = new level.Level<Buffer, Buffer>(folder, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    maxOpenFiles: MAX_OPEN_FILES,
  });
  try {
    await database.open();
    await checkFormat(database);
    return database;
  } catch (error) {
    await database.close().catch(() => undefined);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new LfsError(
        'conflict',
        `another process uses ${folder}; end it, or choose another store_path for this one`,
        { cause },
      );
    }
    if (isDamage(cause)) throw new DamagedDatabaseError((cause as Error).message, { cause });
    throw cause;
  }
}

/** Whether a failure means that the files are not to be trusted, so that trying again would not help. */
export function isDamage(error: unknown): boolean {
  if (error instanceof DamagedDatabaseError || error instanceof DamagedRecordError) return true;
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  if (code === 'EEXIST' || code === 'ENOTDIR' || code === 'LEVEL_CORRUPTION') return true;
  if (!error.message.startsWith('IO error') && !error.message.startsWith('Corruption')) return false;
  return !NOT_DAMAGE.some((text) => error.message.includes(text));
}

/** Moves a damaged database out of the way; of several that were, the last one stays. Returns where it is now. */
export async function setAside(folder: string): Promise<string> {
  const parent = dirname(folder);
  const prefix = `${basename(folder)}.damaged-`;
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  let target = join(parent, prefix + time);
  for (let nth = 2; existsSync(target); nth++) target = join(parent, `${prefix}${time}-${nth}`);
  await rename(folder, target);
  const others = (await readdir(parent)).filter((name) => name.startsWith(prefix));
  for (const name of others) {
    if (join(parent, name) !== target) await rm(join(parent, name), { recursive: true, force: true });
  }
  return target;
}

async function checkFormat(database: PointerDatabase): Promise<void> {
  const key = Buffer.from(FORMAT_KEY);
  const format = await database.get(key);
  if (format === undefined) {
    await database.put(key, FORMAT);
  } else if (!format.equals(FORMAT)) {
    throw new DamagedDatabaseError(
      `another version of Scorpio wrote it (${JSON.stringify(format.toString('latin1').slice(0, 40))})`,
    );
  }
}

function hasTablesOnly(folder: string): boolean {
  if (existsSync(join(folder, 'CURRENT'))) return false;
  try {
    return readdirSync(folder).some((name) => /^\d+\.(?:ldb|sst|log)$|^MANIFEST-/u.test(name));
  } catch {
    return false;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
