// Mounts that a dead daemon left: their records in the state file, and their mount points.
import { readFile, readdir, rm, rmdir } from 'node:fs/promises';
import { isTomlTable, parseToml, type TomlTable } from '../config/toml.ts';

/** A mount in the state file. */
export interface MountRecord {
  readonly jobId: string | undefined;
  readonly mountId: string | undefined;
  readonly mountpoint: string;
  readonly upperDir: string | undefined;
  /** All that the file says of it. */
  readonly table: TomlTable;
}

async function readState(stateFile: string): Promise<TomlTable> {
  try {
    return parseToml(await readFile(stateFile, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

const tables = (value: unknown): TomlTable[] => (Array.isArray(value) ? value.filter(isTomlTable) : []);
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/**
 * The recorded mounts, or those that were unmounted and left something behind. Throws when the file cannot be read or
 * parsed; a missing one has none.
 */
export async function readRecords(
  stateFile: string,
  which: 'mounts' | 'unmounted' = 'mounts',
): Promise<MountRecord[]> {
  return tables((await readState(stateFile))[which]).flatMap((table) => {
    const mountpoint = text(table['mountpoint']);
    if (mountpoint === undefined) return [];
    const [jobId, mountId] = [text(table['job_id']), text(table['mount_id'])];
    return [{ jobId, mountId, mountpoint, upperDir: text(table['upper_dir']), table }];
  });
}

async function hasChanges(record: MountRecord): Promise<boolean> {
  return record.upperDir !== undefined && (await readdir(record.upperDir).catch(() => [])).length > 0;
}

/**
 * Detaches the dead mount point of a record and takes the record out of the mounts of the state file; what was written
 * in the mount stays, listed as unmounted there. Resolves with whether there are changes. Rejects, and changes nothing,
 * when the mount point cannot be detached, and when a daemon that we did not find uses the state file.
 */
export async function dropRecord(stateFile: string, record: MountRecord): Promise<boolean> {
  // These load the bindings to system calls, which no other path of the command needs.
  const [{ clearDeadMount }, { writeState }, { tryLockFile }] = await Promise.all([
    import('../mount/dead-mount.ts'),
    import('../mount/state-file.ts'),
    import('../util/file-lock.ts'),
  ]);
  const lock = tryLockFile(`${stateFile}.lock`);
  if (lock === undefined)
    throw new Error(`a daemon that does not answer uses ${stateFile}; try again, or end it`);
  try {
    await clearDeadMount(record.mountpoint);
    const changed = await hasChanges(record);
    await writeState(stateFile, withoutMount(await readState(stateFile), record, changed));
    await removeEmptyFolders(record, changed);
    return changed;
  } finally {
    lock.release();
  }
}

/** The state without the record among its mounts; one that is kept goes to the unmounted ones. */
function withoutMount(state: TomlTable, record: MountRecord, isKept: boolean): TomlTable {
  const isOther = (table: TomlTable): boolean =>
    table['mountpoint'] !== record.mountpoint || table['mount_id'] !== record.mountId;
  const mounts = tables(state['mounts']).filter(isOther);
  const unmounted = [...tables(state['unmounted']), ...(isKept ? [record.table] : [])];
  return { ...state, mounts, unmounted };
}

/** As the daemon does after unmounting: what was made for the mount goes, what the user wrote stays. */
async function removeEmptyFolders(record: MountRecord, hasChanges: boolean): Promise<void> {
  const ignore = (): undefined => undefined;
  if (record.table['owns_mountpoint'] === true) await rmdir(record.mountpoint).catch(ignore);
  if (hasChanges || record.upperDir === undefined) return;
  await rmdir(record.upperDir).catch(ignore);
  const workDir = text(record.table['work_dir']);
  if (workDir !== undefined) await rm(workDir, { recursive: true, force: true }).catch(ignore);
}
