// `scorpio lfs locks`: prints locks of the LFS server.
import type { LfsLockJson } from '../../../http/lfs/lfs-json.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { CliError } from '../../cli-error.ts';
import { ExitCode } from '../../exit-codes.ts';
import { print, printJson } from '../../output.ts';
import { printable } from '../../../util/printable.ts';
import { formatTable } from '../../table.ts';
import { askDaemon } from './ask-daemon.ts';
import { findTarget, type LfsTarget, type MountOptions } from './lfs-target.ts';

/** Options of the command. */
export interface LocksOptions extends MountOptions {
  readonly json?: boolean;
  readonly verify?: boolean;
  readonly cached?: boolean;
  readonly path?: string;
  readonly id?: string;
  readonly limit?: number;
}

function row({ path, owner, id, locked_at: at }: LfsLockJson, ...before: readonly string[]): string[] {
  return [...before, path, owner ?? '(not told)', id, at].map(printable);
}

function printTable(header: readonly string[], rows: readonly string[][]): void {
  if (rows.length === 0) print('no locks');
  else for (const line of formatTable([header, ...rows])) print(line);
}

const HEADER = ['PATH', 'OWNER', 'ID', 'LOCKED AT'];

async function printVerified({ url }: LfsTarget, json: boolean): Promise<void> {
  const locks = await askDaemon<{ ours: readonly LfsLockJson[]; theirs: readonly LfsLockJson[] }>({
    method: 'POST',
    url: `${url}/locks/verify`,
  });
  if (json) return printJson(locks);
  const rows = [
    ...locks.ours.map((lock) => row(lock, 'ours')),
    ...locks.theirs.map((lock) => row(lock, 'theirs')),
  ];
  return printTable(['WHOSE', ...HEADER], rows);
}

/** Prints them. Throws CliError. */
export async function runLocks(globals: GlobalOptions, options: LocksOptions): Promise<number> {
  const { verify = false, json = false, path, id, limit, cached = false } = options;
  if (verify && (path !== undefined || id !== undefined || limit !== undefined || cached)) {
    throw new CliError(
      'error: --verify goes with --json and the mount only: it is about all locks',
      ExitCode.config,
    );
  }
  const target = await findTarget(await createContext(globals), path === undefined ? [] : [path], options);
  if (verify) await printVerified(target, json);
  else {
    const query = new URLSearchParams();
    const inside = path === undefined ? undefined : target.paths[0];
    if (inside !== undefined) query.set('path', inside);
    if (id !== undefined) query.set('id', id);
    if (limit !== undefined) query.set('limit', String(limit));
    if (cached) query.set('cached', 'true');
    const url = `${target.url}/locks?${query.toString()}`;
    const { locks } = await askDaemon<{ locks: readonly LfsLockJson[] }>({ method: 'GET', url });
    if (json) printJson({ locks });
    else
      printTable(
        HEADER,
        locks.map((lock) => row(lock)),
      );
  }
  return ExitCode.ok;
}
