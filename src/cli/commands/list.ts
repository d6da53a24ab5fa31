// `scorpio list`: the mounts of the daemon.
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { createDaemonClient, type MountStatus } from '../daemon-client.ts';
import { ExitCode } from '../exit-codes.ts';
import { findDaemon } from '../find-daemon.ts';
import { readRecords } from '../offline-mounts.ts';
import { note, print, printJson } from '../output.ts';

function order(a: MountStatus, b: MountStatus): number {
  const [left, right] = [a.job_id ?? a.mount_id, b.job_id ?? b.mount_id];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function row({ job_id, mountpoint, layers, state }: MountStatus): string {
  const line = `job_id=${job_id ?? '(none)'} mount=${mountpoint} upper=${layers.upper} cl=${layers.cl ?? '(none)'}`;
  if (state === 'Ready' || state === 'Mounted') return line;
  return `${line} state=${typeof state === 'string' ? state : `Failed (${state.Failed.reason})`}`;
}

/** Prints the mounts, ordered by job id. */
export async function runList(globals: GlobalOptions, options: { json?: boolean }): Promise<number> {
  const { config } = await createContext(globals);
  const daemon = await findDaemon(config);
  if (!daemon) {
    const recorded = (await readRecords(config.stateFile).catch(() => [])).length;
    const hint =
      recorded === 0 ? '' : `; ${recorded} recorded mount(s) come back when one is started: scorpio serve`;
    note(`note: no daemon is running${hint}`);
  }
  const mounts = daemon ? [...(await createDaemonClient(daemon).list())].sort(order) : [];
  if (options.json) printJson({ mounts });
  else if (mounts.length === 0) print('no active jobs');
  else for (const mount of mounts) print(row(mount));
  return ExitCode.ok;
}
