// `scorpio prefetch`: has the daemon fetch a folder of a mount ahead of need.
import type { PrefetchEndEvent, PrefetchProgressEvent } from '../../http/prefetch-events.ts';
import { formatByteSize } from '../../util/byte-size.ts';
import { createContext, type GlobalOptions } from '../cli-context.ts';
import { CliError } from '../cli-error.ts';
import { createDaemonClient, failureOf } from '../daemon-client.ts';
import { ExitCode } from '../exit-codes.ts';
import { failureList } from '../failure-list.ts';
import { requireDaemon } from '../find-daemon.ts';
import { INTERRUPTED, interruptible } from '../interrupt.ts';
import { locateInMount } from '../locate-in-mount.ts';
import { note, print } from '../output.ts';
import { plural } from '../plural.ts';
import { progressOfPrefetch } from '../prefetch-progress.ts';
import { createProgressView, formatSeconds, type ProgressView } from '../progress-view.ts';
import { requestLines } from '../request-lines.ts';

/** The daemon tells every five seconds that it goes on; before that it may have to ask the server for folders. */
const SILENCE_TIMEOUT_MS = 120_000;

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

function summary(end: PrefetchEndEvent, isDryRun: boolean): string {
  const { files, present, fetched, bytes, total_bytes: total, unsized, failed, duration_ms: ms } = end;
  if (isDryRun) {
    const unknown = unsized === 0 ? '' : `, and ${plural(unsized, 'file')} whose size is not known`;
    return `${plural(files - present, 'file')} to fetch, ${formatByteSize(total)}${unknown}; ${present} of ${files} are here already`;
  }
  const missing = failed === 0 ? '' : `, ${failed} failed`;
  const pack = end.used_pack ? ' as one pack' : '';
  return `fetched ${plural(fetched, 'file')}${pack}, ${formatByteSize(bytes)}, in ${formatSeconds(ms / 1000)}; ${present} were here already${missing}`;
}

interface Outcome {
  readonly end: PrefetchEndEvent | undefined;
  readonly error: string | undefined;
}

async function ask(
  url: string,
  body: object,
  view: ProgressView | undefined,
  json: boolean,
  signal: AbortSignal,
): Promise<Outcome> {
  let end: PrefetchEndEvent | undefined;
  let error: string | undefined;
  const answer = await requestLines({
    url,
    body,
    timeoutMs: SILENCE_TIMEOUT_MS,
    signal,
    onLine(event) {
      if (json) print(JSON.stringify(event));
      if (event['event'] === 'progress')
        view?.show(progressOfPrefetch(event as unknown as PrefetchProgressEvent));
      else if (event['event'] === 'end') end = event as unknown as PrefetchEndEvent;
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
  const daemon = await requireDaemon(config);
  const { job, depth, include, exclude, dryRun = false, pack, json = false, quiet = false } = options;
  const { mount, inside } = await locateInMount(path, job, await createDaemonClient(daemon).list());
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
  if (end.failed > 0) {
    const failures = end.failures.map(({ path, error }) => ({ path, reason: error }));
    throw new CliError(failureList(end.failed, 'fetched', failures), ExitCode.internal);
  }
  return ExitCode.ok;
}
