// `scorpio umount`: ends a mount, named by job, mount id or mount point.
import { readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { describeError } from '../../util/system-error.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { createDaemonClient, type MountStatus } from '../daemon-client.ts';
import { ExitCode } from '../exit-codes.ts';
import { findDaemon, type Daemon } from '../find-daemon.ts';
import { dropRecord, readRecords } from '../offline-mounts.ts';
import { note, print, printJson } from '../output.ts';

/** Options of the command. */
export interface UmountOptions {
  readonly lazy?: boolean;
  /** Removes what was written, too. */
  readonly purge?: boolean;
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

interface Named {
  readonly jobId: string | null | undefined;
  readonly mountId: string | undefined;
  readonly mountpoint: string;
}

/**
 * The folders that a name may mean. Of the mount point itself only a symbolic link is read, which a folder refuses
 * without asking its filesystem: a dead mount does not answer.
 */
async function foldersOf(name: string): Promise<string[]> {
  const path = resolve(name);
  const folders = [path, await inRealParent(path)];
  const target = await readlink(path).catch(() => undefined);
  if (target !== undefined) folders.push(await inRealParent(resolve(dirname(path), target)));
  return folders;
}

async function inRealParent(path: string): Promise<string> {
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  return join(parent, basename(path));
}

/** The mount that `name` means: its job id, else its mount id, else its mount point. */
async function findNamed<T>(
  name: string,
  items: readonly T[],
  describe: (item: T) => Named,
): Promise<T | undefined> {
  const byJob = items.find((item) => describe(item).jobId === name);
  const byId = items.find((item) => describe(item).mountId === name.toLowerCase());
  if (byJob || byId) return byJob ?? byId;
  const folders = await foldersOf(name);
  return items.find((item) => folders.includes(describe(item).mountpoint));
}

function failure(job: string, status: MountStatus): CliError {
  const { state, error, users = [] } = status;
  const reason = error ?? (typeof state === 'string' ? `it is still ${state}` : state.Failed.reason);
  const lines = [`failed to unmount job ${job}: ${reason}`];
  for (const user of users) lines.push(`  pid ${user.pid} ${user.command}: ${user.use}`);
  if (users.length > 0) {
    lines.push(`end these, or detach it now, to end when they do: scorpio umount --lazy ${job}`);
  }
  return new CliError(lines.join('\n'), ExitCode.mount);
}

const notFound = (name: string): CliError => new CliError(`job ${name} not found`, ExitCode.mount);

/** The job of a mount that was unmounted before; the newest where several were at a folder. */
async function unmountedJob(stateFile: string, name: string): Promise<string> {
  const records = (await readRecords(stateFile, 'unmounted')).toReversed();
  return (await findNamed(name, records, (record) => record))?.jobId ?? name;
}

async function unmountByDaemon(
  daemon: Daemon,
  { stateFile }: Config,
  name: string,
  options: UmountOptions,
): Promise<number> {
  const client = createDaemonClient(daemon);
  const mount = await findNamed(name, await client.list(), (item) => ({
    jobId: item.job_id,
    mountId: item.mount_id,
    mountpoint: item.mountpoint,
  }));
  if (!mount) {
    // A job that is not mounted any more may still have what was written in it.
    if (options.purge !== true) throw notFound(name);
    const job = await unmountedJob(stateFile, name);
    if (!(await client.purgeJob(job, options.timeout * 1000))) throw notFound(name);
    print(`removed what was written in job ${job}`);
    return ExitCode.ok;
  }
  const job = mount.job_id ?? mount.mount_id;
  const status = await client.unmount(mount.mount_id, {
    lazy: options.lazy ?? false,
    purge: options.purge ?? false,
    timeoutMs: options.timeout * 1000,
  });
  if (!status) throw notFound(name);
  if (status.state !== 'Unmounted') {
    if (options.json) printJson(status);
    throw failure(job, status);
  }
  if (options.json) printJson(status);
  else print(`unmounted job ${job}`);
  if (status.warning !== undefined) note(`warning: ${status.warning}`);
  return ExitCode.ok;
}

async function unmountWithoutDaemon(config: Config, name: string, options: UmountOptions): Promise<number> {
  if (options.purge === true) {
    throw new CliError('error: --purge needs a running daemon; start it with: scorpio serve', ExitCode.mount);
  }
  const record = await findNamed(name, await readRecords(config.stateFile), (item) => item);
  if (!record) {
    note('note: no daemon is running');
    throw notFound(name);
  }
  const job = record.jobId ?? record.mountId ?? record.mountpoint;
  const changed = await dropRecord(config.stateFile, record);
  if (options.json) printJson({ job_id: record.jobId, mount_id: record.mountId, state: 'Unmounted' });
  else print(`unmounted job ${job}`);
  note(`note: no daemon is running${changed ? `; what was written is kept in ${record.upperDir}` : ''}`);
  return ExitCode.ok;
}

/** Unmounts. Throws CliError with exit code 3 when there is no such mount, or when it is busy. */
export async function runUmount(
  globals: GlobalOptions,
  name: string,
  options: UmountOptions,
): Promise<number> {
  const { config } = await createContext(globals);
  const daemon = await findDaemon(config);
  try {
    return await (daemon
      ? unmountByDaemon(daemon, config, name, options)
      : unmountWithoutDaemon(config, name, options));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`failed to unmount job ${name}: ${describeError(error)}`, ExitCode.mount, {
      cause: error,
    });
  }
}
