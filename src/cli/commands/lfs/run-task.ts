// Has the daemon do something about large files that takes its time, and shows how far it has come.
import { setTimeout as delay } from 'node:timers/promises';
import type { LfsReportJson, LfsTaskJson } from '../../../http/lfs/lfs-json.ts';
import { CliError } from '../../cli-error.ts';
import { ExitCode } from '../../exit-codes.ts';
import { failureList } from '../../failure-list.ts';
import { INTERRUPTED, interruptible } from '../../interrupt.ts';
import { note, print } from '../../output.ts';
import { createProgressView, type ProgressView } from '../../progress-view.ts';
import { requestEvents } from '../../request-events.ts';
import { requestJson } from '../../request-json.ts';
import { askDaemon, lfsFailure } from './ask-daemon.ts';

/** The daemon says every five seconds that it is there. */
const SILENCE_TIMEOUT_MS = 60_000;
const CANCEL_TIMEOUT_MS = 30_000;
const RECONNECTS = 5;
const RECONNECT_DELAY_MS = 500;

/** How output is wanted. */
export interface TaskOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** A task, and how to speak of it. */
export interface TaskRequest {
  /** `http://host:port` of the daemon. */
  readonly daemonUrl: string;
  /** Where it is asked for. */
  readonly url: string;
  readonly body: unknown;
  /** What could not be done with a file that failed: `fetched`. */
  readonly what: string;
  /** What becomes of the work when it is interrupted. */
  readonly kept: string;
  /** The line to end with. */
  readonly summary: (report: LfsReportJson) => string;
  /** A path from the root of the mount for the user. */
  readonly show?: (path: string) => string;
}

/**
 * Runs to the end; Ctrl-C cancels. Resolves with the exit code; throws CliError: 1 when something failed, 2 for a request
 * that makes no sense.
 */
export async function runTask(request: TaskRequest, options: TaskOptions): Promise<number> {
  const { json = false, quiet = false } = options;
  const view = json || quiet ? undefined : createProgressView(process.stderr);
  const { signal, dispose } = interruptible();
  let task: LfsTaskJson | undefined;
  try {
    task = await askDaemon<LfsTaskJson>({ method: 'POST', url: request.url, body: request.body });
    const url = `${request.daemonUrl}/antares/lfs/tasks/${task.task_id}`;
    task = await follow(url, task, json, view, signal);
    view?.end();
    if (signal.aborted) return await cancel(url, request.kept);
  } finally {
    view?.end();
    dispose();
  }
  return conclude(task, request, json || quiet);
}

/** Listens until the task ends, or the signal aborts. A connection that breaks does not end the task. */
async function follow(
  url: string,
  begun: LfsTaskJson,
  json: boolean,
  view: ProgressView | undefined,
  signal: AbortSignal,
): Promise<LfsTaskJson> {
  let task = begun;
  const onEvent = (event: string, data: unknown): void => {
    if (typeof data !== 'object' || data === null) return;
    task = data as LfsTaskJson;
    if (json) print(JSON.stringify({ event, ...task }));
    view?.show(numbersOf(task));
  };
  let problem = 'the connection to the daemon broke';
  for (let attempt = 0; attempt <= RECONNECTS; attempt++) {
    if (attempt > 0) await delay(RECONNECT_DELAY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return task;
    try {
      const answer = await requestEvents({
        url: `${url}/events`,
        timeoutMs: SILENCE_TIMEOUT_MS,
        onEvent,
        signal,
      });
      if (answer !== undefined) throw lfsFailure(answer);
    } catch (error) {
      if (error instanceof CliError) throw error;
      problem = (error as Error).message;
    }
    if (task.state !== 'running') return task;
  }
  throw new CliError(
    `error: the daemon cannot be heard any more: ${problem}; what it did is kept, run the command again`,
    ExitCode.internal,
  );
}

function numbersOf({ progress }: LfsTaskJson): Parameters<ProgressView['show']>[0] {
  return {
    isCounting: progress.counting,
    files: progress.files,
    filesDone: progress.files_done + progress.files_failed,
    filesFailed: progress.files_failed,
    bytes: progress.bytes,
    totalBytes: progress.total_bytes,
    filesUnsized: 0,
  };
}

async function cancel(url: string, kept: string): Promise<number> {
  try {
    await requestJson({ method: 'DELETE', url, timeoutMs: CANCEL_TIMEOUT_MS });
    note(`interrupted; ${kept}`);
  } catch (error) {
    note(`interrupted; the daemon could not be told to stop: ${(error as Error).message}`);
  }
  return INTERRUPTED;
}

function conclude(task: LfsTaskJson, request: TaskRequest, isSilent: boolean): number {
  const { report, error } = task;
  const show = request.show ?? ((path: string): string => path);
  if (report === null) {
    const isRequest = error?.code === 'INVALID_REQUEST';
    const reason = error?.error ?? 'the daemon does not say why';
    const text = task.state === 'cancelled' ? `it was cancelled: ${reason}` : reason;
    throw new CliError(`error: ${text}`, isRequest ? ExitCode.config : ExitCode.internal);
  }
  for (const warning of report.warnings) note(`warning: ${warning}`);
  if (!isSilent) print(request.summary(report));
  if (report.files_failed === 0) return ExitCode.ok;
  // What lies in the store alone has no path.
  const nameOf = (path: string, oid: string): string =>
    path === '' ? `object ${oid.slice(0, 10)}` : show(path);
  const failures = report.failures.map(({ path, oid, reason }) => ({ path: nameOf(path, oid), reason }));
  throw new CliError(failureList(report.files_failed, request.what, failures), ExitCode.internal);
}
