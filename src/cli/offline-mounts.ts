// Mounts that a dead daemon left: their records in the state file, and their mount points.
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isTomlTable, parseToml, stringifyToml, type TomlTable } from '../config/toml.ts';
import { atomicWrite } from '../util/atomic-write.ts';

const DETACH_TIMEOUT_MS = 10_000;
const run = promisify(execFile);

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

/** Whether something of FUSE is mounted at exactly that folder. The folder itself is not touched. */
async function isMounted(mountpoint: string): Promise<boolean> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.some((line) => {
    const [mount = '', kind = ''] = line.split(' - ');
    const folder = (mount.split(' ')[4] ?? '').replaceAll(/\\([0-7]{3})/gu, (_all, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    return (
      kind.startsWith('fuse') &&
      Buffer.from(folder, 'latin1').toString() === Buffer.from(mountpoint, 'latin1').toString()
    );
  });
}

async function detach(mountpoint: string): Promise<void> {
  const [command, ...args] =
    process.getuid?.() === 0 ? ['umount', '-l', mountpoint] : ['fusermount3', '-u', '-z', mountpoint];
  await run(command ?? '', args, { timeout: DETACH_TIMEOUT_MS });
}

async function hasChanges(record: MountRecord): Promise<boolean> {
  return record.upperDir !== undefined && (await readdir(record.upperDir).catch(() => [])).length > 0;
}

/**
 * Detaches the dead mount point of a record and takes the record out of the mounts of the state file; what was written
 * in the mount stays, listed as unmounted there. Only to be called while no daemon runs. Rejects when the mount point
 * cannot be detached, and changes nothing then. Resolves with whether there are changes.
 */
export async function dropRecord(stateFile: string, record: MountRecord): Promise<boolean> {
  if (await isMounted(record.mountpoint)) await detach(record.mountpoint);
  const changed = await hasChanges(record);
  const state = await readState(stateFile);
  const isOther = (table: TomlTable): boolean =>
    table['mountpoint'] !== record.mountpoint || table['mount_id'] !== record.mountId;
  const mounts = tables(state['mounts']).filter(isOther);
  const unmounted = [...tables(state['unmounted']), ...(changed ? [record.table] : [])];
  await atomicWrite(stateFile, stringifyToml({ ...state, mounts, unmounted }), { mode: 0o600 });
  return changed;
}
