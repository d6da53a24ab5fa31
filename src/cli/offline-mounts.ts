// Mounts that a dead daemon left: their records in the state file, and their mount points.
import { readFile, readdir } from 'node:fs/promises';
import { isTomlTable, parseToml, stringifyToml, type TomlTable } from '../config/toml.ts';
import { atomicWrite } from '../util/atomic-write.ts';

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

/** The recorded mounts. Throws when the file cannot be read or parsed; a missing one has none. */
export async function readRecords(stateFile: string): Promise<MountRecord[]> {
  return tables((await readState(stateFile))['mounts']).flatMap((table) => {
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
  const [{ clearDeadMount }, { tryLockFile }] = await Promise.all([
    import('../mount/dead-mount.ts'),
    import('../util/file-lock.ts'),
  ]);
  const lock = tryLockFile(`${stateFile}.lock`);
  if (lock === undefined)
    throw new Error(`a daemon that does not answer uses ${stateFile}; try again, or end it`);
  try {
    await clearDeadMount(record.mountpoint);
    const changed = await hasChanges(record);
    await moveRecord(stateFile, record, changed);
    return changed;
  } finally {
    lock.release();
  }
}

async function moveRecord(stateFile: string, record: MountRecord, isKept: boolean): Promise<void> {
  const state = await readState(stateFile);
  const isOther = (table: TomlTable): boolean =>
    table['mountpoint'] !== record.mountpoint || table['mount_id'] !== record.mountId;
  const mounts = tables(state['mounts']).filter(isOther);
  const unmounted = [...tables(state['unmounted']), ...(isKept ? [record.table] : [])];
  await atomicWrite(stateFile, stringifyToml({ ...state, mounts, unmounted }), { mode: 0o600 });
}
