// Uploads: what the server lacks, several at once, each verified where the server asks for it.
import { linkAbort } from '../../util/abort-link.ts';
import { backoffMs } from '../../util/backoff.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsOid } from '../lfs-object.ts';
import type { BatchObject } from './batch-answer.ts';
import type { BatchRoute } from './batch.ts';
import { abortedError, repeatRule } from './failures.ts';
import type { LfsApi } from './lfs-api.ts';
import type { UploadObserver, UploadOutcome, UploadSource } from './lfs-client.ts';
import type { LfsHttp } from './lfs-http.ts';
import { pause, RETRY_AFTER_MAX_MS } from './retrying.ts';
import { transferObject } from './upload-object.ts';

/** Ways to upload, best first: `tus` goes on where a broken upload ended. */
const TRANSFERS: readonly string[] = ['tus', 'basic'];

/** What uploads need. */
export interface UploadParts {
  readonly http: LfsHttp;
  readonly api: LfsApi;
  readonly batch: BatchRoute;
  readonly maxAttempts: number;
  readonly concurrency: number;
  readonly log: (message: string) => void;
}

type Outcome = UploadOutcome | LfsError;

/** What is to be done about one object. */
interface Task {
  readonly source: UploadSource;
  readonly transfer: string;
  readonly answer: BatchObject | LfsError;
}

const failureOf = (error: unknown, what: string): LfsError =>
  error instanceof LfsError
    ? error
    : new LfsError('server', `${what} failed: ${(error as Error).message}`, { cause: error });

async function askAbout(
  parts: UploadParts,
  sources: readonly UploadSource[],
  signal: AbortSignal,
): Promise<Task[]> {
  const objects = sources.map(({ oid, size, path }) => ({ oid, size, path }));
  const answer = await parts.batch.ask({ operation: 'upload', objects, transfers: TRANSFERS }, signal);
  return sources.map((source) => ({
    source,
    transfer: answer.transfer,
    answer:
      answer.objects.get(source.oid) ??
      new LfsError('server', `the LFS server said nothing about ${source.oid}`),
  }));
}

/** One object: from what the server said of it until it is there, or cannot be. */
async function perform(
  parts: UploadParts,
  first: Task,
  observer: UploadObserver,
  signal: AbortSignal,
): Promise<Outcome> {
  const { source } = first;
  const what = `uploading ${source.path}`;
  let task = first;
  let waitMs = 0;
  for (let failures = 0, wrong = 0, refusals = 0; ;) {
    try {
      if (signal.aborted) throw abortedError(signal, what);
      if (task.answer instanceof LfsError) throw task.answer;
      // The server lacks nothing: another attempt may have brought it there.
      if (task.answer.upload === undefined && task.answer.verify === undefined) {
        return failures === 0 ? 'present' : 'sent';
      }
      const { upload, verify } = task.answer;
      await transferObject(
        { ...parts, source, transfer: task.transfer, upload, verify },
        (bytes) => observer.onBytes?.(source.oid, bytes),
        signal,
      );
      return 'sent';
    } catch (error) {
      const failure = failureOf(error, what);
      failures++;
      const rule = repeatRule(failure);
      // A leave that has expired is asked for again.
      const isExpired = failure.status === 401 || failure.status === 403;
      if (rule === 'once') wrong++;
      if (isExpired) refusals++;
      waitMs = Math.max(failure.retryAfterMs ?? 0, backoffMs(failures));
      const isFinal =
        rule === 'never' && !(isExpired && refusals === 1 && !(task.answer instanceof LfsError));
      if (isFinal || wrong > 1 || failures >= parts.maxAttempts || waitMs > RETRY_AFTER_MAX_MS)
        return failure;
      parts.log(`${failure.message}; trying again`);
    }
    try {
      await pause(waitMs, signal, what);
      const [again] = await askAbout(parts, [source], signal);
      if (again !== undefined) task = again;
    } catch (error) {
      return failureOf(error, what);
    }
  }
}

/** See LfsClient. Rejects with LfsError when the server could not be asked, or the caller gave up. */
export async function uploadAll(
  parts: UploadParts,
  sources: readonly UploadSource[],
  observer: UploadObserver,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<LfsOid, Outcome>> {
  const link = linkAbort(signal, parts.http.closing);
  const outcomes = new Map<LfsOid, Outcome>();
  const unique = [...new Map(sources.map((source) => [source.oid, source])).values()];

  function settle(oid: LfsOid, outcome: Outcome): void {
    outcomes.set(oid, outcome);
    observer.onDone?.(oid, outcome);
  }

  async function* tasks(): AsyncGenerator<Task> {
    for (let rest: readonly UploadSource[] = unique; rest.length > 0;) {
      const part = rest.slice(0, parts.batch.maxObjects);
      try {
        yield* await askAbout(parts, part, link.signal);
      } catch (error) {
        if (rest === unique || link.signal.aborted) throw error;
        // What was sent until now counts; the rest shares the failure.
        for (const { oid } of rest) settle(oid, failureOf(error, 'asking the LFS server'));
        return;
      }
      rest = rest.slice(part.length);
    }
  }

  // All workers take from one queue: the next hundred are asked about when the last of these has begun.
  const queue = tasks();
  async function work(): Promise<void> {
    for await (const task of { [Symbol.asyncIterator]: () => ({ next: () => queue.next() }) }) {
      const outcome = await perform(parts, task, observer, link.signal);
      if (link.signal.aborted) throw abortedError(link.signal, 'uploading');
      settle(task.source.oid, outcome);
    }
  }
  try {
    const workers = Array.from({ length: Math.min(parts.concurrency, unique.length) }, work);
    const results = await Promise.allSettled(workers);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return outcomes;
  } finally {
    link.unlink();
  }
}
