// `scorpio prefetch`: has the daemon fetch a folder of a mount ahead of need.
import { join, relative, resolve } from 'node:path';
import { formatByteSize } from '../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { createDaemonClient, failureOf, type MountStatus } from '../daemon-client.ts';
import { ExitCode } from '../exit-codes.ts';
import { findDaemon } from '../find-daemon.ts';
import { findMount } from '../find-mount.ts';
import { note, print } from '../output.ts';
import {
  createProgressView,
  formatSeconds,
  type PrefetchNumbers,
  type ProgressView,
} from '../prefetch-progress.ts';
import { requestLines } from '../request-lines.ts';

/** The daemon tells every five seconds that it goes on; before that it may have to ask the server for folders. */
const SILENCE_TIMEOUT_MS = 120_000;
const SHOWN_FAILURES = 20;
const INTERRUPTED = 130;

/** Options of the command. */
export interface PrefetchOptions {
  readonly job?: string;
  readonly depth?: number;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly dryRun?: boolean;
  readonly pack: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The last event of a prefetch that came to its end. */
interface PrefetchEnd extends PrefetchNumbers {
  readonly failures: readonly { readonly path: string; readonly error: string }[];
  readonly used_pack: boolean;
  readonly duration_ms: number;
}

/** The mount, and the path in it: by its name, else by where the path lies. Throws CliError. */
async function locate(
  path: string,
  job: string | undefined,
  mounts: readonly MountStatus[],
): Promise<{ mount: MountStatus; inside: string }> {
  if (path === '') throw new CliError('error: the path is empty', ExitCode.config);
  if (job !== undefined) {
    const mount =
      mounts.find((each) => each.job_id === job) ??
      mounts.find((each) => each.mount_id === job.toLowerCase()) ??
      mounts.find((each) => each.mountpoint === resolve(job));
    if (mount === undefined) throw new CliError(`job ${job} not found`, ExitCode.mount);
    const inside = relative(mount.mountpoint, join(mount.mountpoint, path));
    if (inside.split('/', 1)[0] === '..') {
      throw new CliError(`error: ${path} leads out of the mount of job ${job}`, ExitCode.config);
    }
    return { mount, inside };
  }
  const found = await findMount(path, mounts);
  if (found !== undefined) return found;
  const known =
    mounts.length === 0 ? 'nothing is mounted' : `mounted are ${mounts.map((m) => m.mountpoint).join(', ')}`;
  throw new CliError(`error: ${resolve(path)} is not in a mount; ${known}`, ExitCode.config);
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function summary(end: PrefetchEnd, isDryRun: boolean): string {
  const { files, present, fetched, bytes, total_bytes: total, unsized, failed, duration_ms: ms } = end;
  if (isDryRun) {
    const unknown = unsized === 0 ? '' : `, and ${plural(unsized, 'file')} whose size is not known`;
    return `${plural(files - present, 'file')} to fetch, ${formatByteSize(total)}${unknown}; ${present} of ${files} are here already`;
  }
  const missing = failed === 0 ? '' : `, ${failed} failed`;
  const pack = end.used_pack ? ' as one pack' : '';
  return `fetched ${plural(fetched, 'file')}${pack}, ${formatByteSize(bytes)}, in ${formatSeconds(ms / 1000)}; ${present} were here already${missing}`;
}

function failureText({ failed, failures }: PrefetchEnd): string {
  const shown = failures.slice(0, SHOWN_FAILURES);
  const lines = shown.map(({ path, error }) => `  ${path}: ${error}`);
  if (failed > shown.length) lines.push(`  and ${failed - shown.length} more`);
  return [`${plural(failed, 'file')} could not be fetched:`, ...lines].join('\n');
}

/** Aborts at Ctrl-C; the daemon then stops, too. */
function interruptible(): { signal: AbortSignal; dispose: () => void } {
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  return {
    signal: interrupt.signal,
    dispose: () => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
    },
  };
}

interface Outcome {
  readonly end: PrefetchEnd | undefined;
  readonly error: string | undefined;
}

async function ask(
  url: string,
  body: object,
  view: ProgressView | undefined,
  json: boolean,
  signal: AbortSignal,
): Promise<Outcome> {
  let end: PrefetchEnd | undefined;
  let error: string | undefined;
  const answer = await requestLines({
    url,
    body,
    timeoutMs: SILENCE_TIMEOUT_MS,
    signal,
    onLine(event) {
      if (json) print(JSON.stringify(event));
      if (event['event'] === 'progress') view?.show(event as unknown as PrefetchNumbers);
      else if (event['event'] === 'end') end = event as unknown as PrefetchEnd;
      else if (event['event'] === 'error') error = String(event['error']);
    },
  });
  if (answer !== undefined) throw failureOf(answer);
  return { end, error };
}

/** Prefetches. Throws CliError: 2 for a path that is no folder in a mount, 3 for an unknown job, 1 for the rest. */
export async function runPrefetch(
  globals: GlobalOptions,
  path: string,
  options: PrefetchOptions,
): Promise<number> {
  const { config } = await createContext(globals);
  const daemon = await findDaemon(config);
  if (daemon === undefined) {
    throw new CliError('no daemon is running; mount first, or start one: scorpio serve', ExitCode.internal);
  }
  const { job, depth, include, exclude, dryRun = false, pack, json = false, quiet = false } = options;
  const { mount, inside } = await locate(path, job, await createDaemonClient(daemon).list());
  const url = `${daemon.url}/antares/mounts/${mount.mount_id}/prefetch`;
  const body = { path: inside, depth, include, exclude, dry_run: dryRun, pack };
  const view = json || quiet ? undefined : createProgressView(process.stderr);
  const { signal, dispose } = interruptible();
  let outcome: Outcome;
  try {
    outcome = await ask(url, body, view, json, signal);
  } catch (error) {
    view?.end();
    if (signal.aborted) {
      note('interrupted; what was fetched is kept');
      return INTERRUPTED;
    }
    const isRequest = (error as { status?: unknown }).status === 400;
    throw new CliError(
      `error: cannot prefetch: ${(error as Error).message}`,
      isRequest ? ExitCode.config : ExitCode.internal,
      { cause: error },
    );
  } finally {
    dispose();
  }
  view?.end();
  const { end, error } = outcome;
  if (end === undefined) {
    const reason = error ?? 'the daemon ended before the work did';
    throw new CliError(`error: prefetching ended early: ${reason}`, ExitCode.internal);
  }
  if (!json && !quiet) print(summary(end, dryRun));
  if (end.failed > 0) throw new CliError(failureText(end), ExitCode.internal);
  return ExitCode.ok;
}
