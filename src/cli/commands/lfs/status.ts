// `scorpio lfs status`: which large files are new, modified or gone, and what the server has of them.
import type { LfsFileJson, LfsStatusJson } from '../../../http/lfs/lfs-json.ts';
import { formatByteSize } from '../../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../../cli-context.ts';
import { ExitCode } from '../../exit-codes.ts';
import { note, print, printJson } from '../../output.ts';
import { plural } from '../../plural.ts';
import { printable } from '../../../util/printable.ts';
import { formatTable } from '../../table.ts';
import { askDaemon } from './ask-daemon.ts';
import { findTarget, type LfsTarget, type MountOptions } from './lfs-target.ts';

/** Hashing a terabyte takes its time; Ctrl-C ends the wait. */
const HASHING_TIMEOUT_MS = 6 * 3_600_000;
const SHORT_OID = 10;

/** Options of the command. */
export interface StatusOptions extends MountOptions {
  readonly json?: boolean;
  readonly wait: boolean;
}

const short = (oid: string | null): string => (oid === null ? '' : oid.slice(0, SHORT_OID));

/** As `2026-02-03 04:05:06`, where the user is. */
function localTime(ms: number): string {
  return new Date(ms).toLocaleString('sv');
}

function objectOf({ change, lfs, old_oid: from, oid: to }: LfsFileJson): string {
  // What is ordinary now is no object any more.
  if (change === 'deleted' || (!lfs && to === null)) return short(from);
  if (from === null || from === to) return to === null ? '(hashing)' : short(to);
  return `${short(from)} -> ${to === null ? '(hashing)' : short(to)}`;
}

function uploadedOf({ change, lfs, uploaded }: LfsFileJson): string {
  if (change === 'deleted') return '';
  if (!lfs) return 'ordinary file';
  return { true: 'uploaded', false: 'not uploaded', null: 'not known' }[`${uploaded}`];
}

/** The table, without a line where nothing is changed. */
export function describeFiles(
  files: readonly LfsFileJson[],
  show: (path: string) => string,
): readonly string[] {
  if (files.length === 0) return [];
  const rows = files.map((file) => [
    file.change,
    printable(file.from === null ? show(file.path) : `${show(file.from)} -> ${show(file.path)}`),
    formatByteSize(file.change === 'deleted' ? (file.old_size ?? 0) : file.size),
    objectOf(file),
    uploadedOf(file),
    file.locked_by === null ? '' : printable(file.locked_by === '' ? '(locked)' : file.locked_by),
  ]);
  return formatTable([['CHANGE', 'PATH', 'SIZE', 'OBJECT', 'SERVER', 'LOCKED BY'], ...rows]);
}

function describe(status: LfsStatusJson, show: LfsTarget['show']): void {
  const { files, transfers, failures } = status;
  if (status.server_problem !== null) note(`note: ${status.server_problem}`);
  const changed = files.filter((file) => file.change !== 'unmodified');
  for (const line of describeFiles(files, show)) print(line);
  if (changed.length === 0) print('no large file is changed');
  const missing = changed.filter((file) => file.lfs && file.uploaded === false && file.change !== 'deleted');
  if (missing.length > 0) {
    note(`${plural(missing.length, 'file')} not uploaded yet (scorpio lfs push)`);
  }
  if (status.hashing > 0) note(`${plural(status.hashing, 'file')} still being hashed`);
  for (const { path, bytes, size } of transfers) {
    note(`downloading ${printable(show(path))}: ${formatByteSize(bytes)} of ${formatByteSize(size)}`);
  }
  for (const { path, reason, at_epoch_ms: atMs } of failures) {
    note(`could not be fetched: ${printable(show(path))}: ${printable(reason)} (${localTime(atMs)})`);
  }
}

/** Prints the status. Throws CliError. */
export async function runStatus(
  globals: GlobalOptions,
  paths: readonly string[],
  options: StatusOptions,
): Promise<number> {
  const target = await findTarget(await createContext(globals), paths, options);
  const ask = <T>(hashes: boolean, server: boolean, accepted: readonly number[]): Promise<T> =>
    askDaemon<T>(
      {
        method: 'POST',
        url: `${target.url}/status`,
        body: { paths: target.paths, wait_for_hashes: hashes, ask_server: server },
        timeoutMs: HASHING_TIMEOUT_MS,
      },
      accepted,
    );
  let status = await ask<LfsStatusJson>(false, false, [200]);
  if (options.wait) {
    if (status.hashing > 0 && options.json !== true) {
      note(`hashing ${plural(status.hashing, 'file')} (--no-wait prints what is known)`);
    }
    const answer = await ask<LfsStatusJson | { readonly error: string }>(true, true, [200, 502]);
    if (!('error' in answer)) status = answer;
    else {
      // What changed is known without the server.
      const local = await ask<LfsStatusJson>(true, false, [200]);
      status = { ...local, server_problem: local.server_problem ?? answer.error };
    }
  }
  if (options.json === true) printJson(status);
  else describe(status, target.show);
  return ExitCode.ok;
}
