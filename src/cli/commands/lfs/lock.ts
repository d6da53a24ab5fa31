// `scorpio lfs lock` and `scorpio lfs unlock`.
import type { LfsLockResultJson } from '../../../http/lfs/lfs-json.ts';
import { CliError } from '../../cli-error.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { ExitCode } from '../../exit-codes.ts';
import { note, print, printJson } from '../../output.ts';
import { printable } from '../../../util/printable.ts';
import { askDaemon } from './ask-daemon.ts';
import { findTarget, type LfsTarget, type MountOptions } from './lfs-target.ts';

/** 409: some paths failed, the results say which. */
const ANSWERS = [200, 201, 409];

/** Options of unlock; lock has none but those of the mount and `json`. */
export interface LockOptions extends MountOptions {
  readonly json?: boolean;
  readonly id?: string;
  readonly force?: boolean;
}

interface Results {
  readonly results: readonly LfsLockResultJson[];
}

function report(done: string, { results }: Results, show: LfsTarget['show'], json: boolean): number {
  if (json) printJson({ results });
  for (const { path, lock, error } of results) {
    const name = printable(show(path));
    if (error !== null) note(`error: ${name === '' ? '' : `${name}: `}${printable(error)}`);
    else if (!json) print(`${done} ${name}${lock === null ? '' : ` (id ${printable(lock.id)})`}`);
  }
  return results.some((result) => result.error !== null) ? ExitCode.internal : ExitCode.ok;
}

/** Locks files. Resolves with 1 when one of them could not be. Throws CliError. */
export async function runLock(
  globals: GlobalOptions,
  paths: readonly string[],
  options: LockOptions,
): Promise<number> {
  const target = await findTarget(await createContext(globals), paths, options);
  refuseAll(target);
  const request = { method: 'POST', url: `${target.url}/locks`, body: { paths: target.paths } } as const;
  return report('locked', await askDaemon<Results>(request, ANSWERS), target.show, options.json === true);
}

/** Unlocks files, or the lock of an id. Resolves with 1 when one of them could not be. Throws CliError. */
export async function runUnlock(
  globals: GlobalOptions,
  paths: readonly string[],
  options: LockOptions,
): Promise<number> {
  const { id, force = false } = options;
  if ((id === undefined) === (paths.length === 0)) {
    throw new CliError('error: name the files to unlock, or a lock with --id', ExitCode.config);
  }
  const target = await findTarget(await createContext(globals), paths, options);
  const show = id === undefined ? target.show : (path: string): string => path;
  if (id === undefined) refuseAll(target);
  const url =
    id === undefined ? `${target.url}/locks` : `${target.url}/locks/${encodeURIComponent(id)}?force=${force}`;
  const body = id === undefined ? { paths: target.paths, force } : undefined;
  const results = await askDaemon<Results>({ method: 'DELETE', url, body }, ANSWERS);
  return report('unlocked', results, show, options.json === true);
}

function refuseAll({ paths }: LfsTarget): void {
  if (paths.length > 0) return;
  throw new CliError('error: the root of a mount is no file; name the files', ExitCode.config);
}
