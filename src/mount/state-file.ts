// The file that mounts survive a restart in (`antares_state_file`): TOML, a superset of the two forms that ScorpioFS
// writes there, so that its files are read and its tools find their fields.
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { isTomlTable, parseToml, stringifyToml, type TomlTable } from '../config/toml.ts';
import { atomicWrite } from '../util/atomic-write.ts';
import type { Logger } from '../util/logger.ts';
import type { MountSnapshot } from './mount-host.ts';
import { stateName, type MountRecord } from './mount-record.ts';

/** Form of the file that this version writes; a higher number is refused. */
const SCHEMA = 1;
const OBJECT_ID = /^[0-9a-f]{40}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What the state file holds. */
export interface SavedState {
  /** Mounts to bring back at the next start. */
  readonly mounts: readonly MountRecord[];
  /** Mounts that were unmounted and left changes behind, for the job that asks for the same path again. */
  readonly unmounted: readonly MountRecord[];
}

/** What fills the gaps of records that other programs wrote. */
export interface StateDefaults {
  readonly upperRoot: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Reads the state; a missing file is an empty state. A damaged file is set aside (`FILE.damaged-TIME`), with a warning,
 * and its copy is used; of entries that cannot be understood a copy is kept likewise, and the rest is used. Throws an
 * Error when a newer version wrote the file, and Node's errors when it cannot be read: to go on would overwrite it.
 */
export async function loadState(path: string, defaults: StateDefaults, log: Logger): Promise<SavedState> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { mounts: [], unmounted: [] };
    throw error;
  }
  let document: TomlTable;
  try {
    document = parseState(text);
  } catch (error) {
    const kept = damagedName(path);
    await rename(path, kept);
    const copy = await readCopy(path);
    const outcome = copy === undefined ? 'no earlier mount is known' : 'its copy is used';
    log.warn(`the state file is damaged: it was set aside, and ${outcome}`, { path, kept, error });
    if (copy === undefined) return { mounts: [], unmounted: [] };
    document = copy;
  }
  const schema = document['schema'];
  if (typeof schema === 'number' && schema > SCHEMA) {
    throw new Error(
      `${path} was written by a newer version of scorpio (schema ${schema}, known are up to ${SCHEMA}); ` +
        `use that version, or set antares_state_file to another file`,
    );
  }
  const problems: string[] = [];
  const state = {
    mounts: parseTable(document, 'mounts', defaults, problems),
    unmounted: parseTable(document, 'unmounted', defaults, problems),
  };
  for (const record of state.unmounted) record.state = 'Unmounted';
  if (problems.length > 0) {
    const kept = damagedName(path);
    await copyFile(path, kept);
    log.warn('entries of the state file are damaged: a copy was kept, and the others are used', {
      path,
      kept,
      problems,
    });
  }
  return state;
}

/** Throws when the text is no TOML, or is blank, which no version writes: a full disk or an editor leaves that. */
function parseState(text: string): TomlTable {
  if (text.trim() === '') throw new Error('it is empty');
  return parseToml(text);
}

/** The copy that `saveState` keeps, if it is of use. */
async function readCopy(path: string): Promise<TomlTable | undefined> {
  try {
    return parseState(await readFile(copyName(path), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Replaces the state file, as `writeState` does. */
export async function saveState(path: string, state: SavedState): Promise<void> {
  const document = {
    schema: SCHEMA,
    mounts: state.mounts.map((record) => toTable(record)),
    unmounted: state.unmounted.map((record) => toTable(record)),
  };
  await mkdir(dirname(path), { recursive: true });
  await writeState(path, document);
}

/**
 * Writes a state file's document: atomically, and durable when it resolves. A copy beside it is for when the file gets
 * damaged. Rejects with Node's errors when the file itself could not be written.
 */
export async function writeState(path: string, document: Readonly<Record<string, unknown>>): Promise<void> {
  const text = stringifyToml(document);
  await atomicWrite(path, text, { mode: 0o600 });
  const copy = copyName(path);
  // An outdated copy would bring back what is gone: rather none.
  await atomicWrite(copy, text, { mode: 0o600, durable: false }).catch(() => rm(copy, { force: true }));
}

function toTable(record: MountRecord): Record<string, string | number | boolean> {
  const { snapshot } = record;
  return {
    mount_id: record.mountId,
    // TOML has no null: what is absent is left out, as ScorpioFS does.
    ...(record.jobId === null ? {} : { job_id: record.jobId }),
    path: record.path,
    ...(record.cl === null ? {} : { cl: record.cl }),
    mountpoint: record.mountpoint,
    owns_mountpoint: record.ownsMountpoint,
    upper_id: record.mountId,
    upper_dir: record.upperDir,
    work_dir: record.workDir,
    ...(record.clDir === null ? {} : { cl_dir: record.clDir }),
    uid: record.uid,
    gid: record.gid,
    ...(snapshot === undefined
      ? {}
      : { commit: snapshot.commit, tree: snapshot.tree, commit_time: snapshot.time }),
    created_at_epoch_ms: record.createdAtEpochMs,
    last_seen_epoch_ms: record.lastSeenEpochMs,
    state: savedState(record),
  };
}

/** `Provisioning` is for mounts that a crash may forget; one that is coming back after a restart is none of them. */
function savedState({ established, state }: MountRecord): string {
  if (!established) return 'Provisioning';
  return state === 'Provisioning' ? 'Mounted' : stateName(state);
}

function parseTable(
  document: TomlTable,
  name: string,
  defaults: StateDefaults,
  problems: string[],
): MountRecord[] {
  const table = document[name] ?? [];
  if (!Array.isArray(table)) {
    problems.push(`${name} is not a list`);
    return [];
  }
  const records = new Map<string, MountRecord>();
  for (const [index, entry] of (table as unknown[]).entries()) {
    try {
      if (!isTomlTable(entry)) throw new Error('not a table');
      const record = fromTable(entry, defaults);
      if (records.has(record.mountId)) throw new Error(`mount_id ${record.mountId} is there twice`);
      records.set(record.mountId, record);
    } catch (error) {
      problems.push(`${name}[${index}]: ${(error as Error).message}`);
    }
  }
  return [...records.values()];
}

function fromTable(entry: TomlTable, defaults: StateDefaults): MountRecord {
  const text = (key: string): string | null => {
    const value = entry[key];
    if (value === undefined) return null;
    if (typeof value !== 'string') throw new Error(`${key} is not a string`);
    return value;
  };
  const number = (key: string, missing: number): number => {
    const value = entry[key];
    if (value === undefined) return missing;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw new Error(`${key} is not a number`);
    return value;
  };
  const folder = (key: string): string => {
    const value = text(key);
    if (value === null || !isAbsolute(value)) throw new Error(`${key} is not an absolute path`);
    return value;
  };
  // The command line of ScorpioFS knows no mount_id and always mounts the whole monorepo.
  const id = [text('mount_id'), text('upper_id')].find((value) => value !== null && UUID.test(value));
  const mountId = (id ?? randomUUID()).toLowerCase();
  const now = Date.now();
  const createdAtEpochMs = number('created_at_epoch_ms', now);
  return {
    mountId,
    jobId: text('job_id'),
    path: text('path') ?? '/',
    cl: text('cl'),
    clDir: text('cl_dir'),
    mountpoint: folder('mountpoint'),
    ownsMountpoint: entry['owns_mountpoint'] === true,
    upperDir: folder('upper_dir'),
    workDir:
      entry['work_dir'] === undefined ? join(defaults.upperRoot, '.work', mountId) : folder('work_dir'),
    uid: number('uid', defaults.uid),
    gid: number('gid', defaults.gid),
    snapshot: parseSnapshot(text('commit'), text('tree'), number('commit_time', 0)),
    createdAtEpochMs,
    lastSeenEpochMs: number('last_seen_epoch_ms', createdAtEpochMs),
    established: entry['state'] !== 'Provisioning',
    state: 'Provisioning',
  };
}

function parseSnapshot(commit: string | null, tree: string | null, time: number): MountSnapshot | undefined {
  if (commit === null && tree === null) return undefined;
  if (commit === null || tree === null || !OBJECT_ID.test(commit) || !OBJECT_ID.test(tree)) {
    throw new Error('commit and tree are not object ids');
  }
  return { commit, tree, time };
}

function copyName(path: string): string {
  return `${path}.copy`;
}

function damagedName(path: string): string {
  return `${path}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
}
