// Prefetching in the background: now and then, for all mounts, what the configuration names.
import type { Logger } from '../../util/logger.ts';
import { createPathFilter } from '../../util/path-filter.ts';
import { isServing } from '../mount-record.ts';
import type { MountRegistry } from '../registry.ts';

/** The first run comes within this time after the start, or within one interval where that is shorter. */
const FIRST_RUN_MAX_MS = 600_000;
/** Intervals vary by this share in both directions, so that many machines do not ask the server at once. */
const JITTER = 0.1;
/** The longest time that a timer takes; beyond, it would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** How the last run went. */
export interface PrefetchRunStatus {
  readonly startedAtEpochMs: number;
  readonly durationMs: number;
  readonly fetched: number;
  readonly bytes: number;
  readonly failed: number;
  /** Why it ended early, for one of the mounts. */
  readonly error: string | undefined;
}

/** What the schedule does. */
export interface PrefetchScheduleStatus {
  readonly intervalMs: number;
  readonly isRunning: boolean;
  readonly lastRun: PrefetchRunStatus | undefined;
}

/** A running schedule. */
export interface PrefetchSchedule {
  status(): PrefetchScheduleStatus;
  /** Ends it, and a run that is under way. Never rejects. */
  stop(): Promise<void>;
}

/** What it needs. */
export interface PrefetchScheduleOptions {
  readonly registry: Pick<MountRegistry, 'list' | 'prefetch'>;
  /** Globs of paths of the monorepo, as in a .gitignore file at its root. */
  readonly paths: readonly string[];
  readonly intervalMs: number;
  readonly log: Logger;
  /** From 0 to 1; default Math.random. */
  readonly random?: () => number;
}

/**
 * Starts a schedule; undefined when there is nothing to do, or nothing that can be understood, which is logged. Runs
 * never overlap: the next interval begins when a run has ended.
 */
export function startPrefetchSchedule(options: PrefetchScheduleOptions): PrefetchSchedule | undefined {
  const { registry, paths, intervalMs, log, random = Math.random } = options;
  if (intervalMs <= 0 || paths.length === 0) return undefined;
  try {
    createPathFilter(paths, []);
  } catch (error) {
    log.error('nothing is prefetched in the background: prefetch_paths cannot be understood', { error });
    return undefined;
  }
  const stopping = new AbortController();
  let lastRun: PrefetchRunStatus | undefined;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout;

  const plan = (delayMs: number): void => {
    // A planned run alone does not keep the process alive.
    timer = setTimeout(
      () => {
        running = run().finally(() => {
          running = undefined;
          if (!stopping.signal.aborted) plan(intervalMs * (1 - JITTER + 2 * JITTER * random()));
        });
      },
      Math.min(delayMs, TIMER_MAX_MS),
    ).unref();
  };

  const run = async (): Promise<void> => {
    const startedAtEpochMs = Date.now();
    const sum = { fetched: 0, bytes: 0, failed: 0 };
    let problem: string | undefined;
    for (const { mountId, path } of registry.list().filter(isServing)) {
      if (stopping.signal.aborted) return;
      const request = { path: '', include: paths, globsFrom: 'repository' } as const;
      try {
        const report = await registry.prefetch(mountId, request, () => undefined, stopping.signal);
        sum.fetched += report.fetched;
        sum.bytes += report.bytes;
        sum.failed += report.failed;
        problem ??= report.failures[0]?.error;
      } catch (error) {
        if (stopping.signal.aborted) return;
        problem = `${path}: ${(error as Error).message}`;
      }
    }
    lastRun = { startedAtEpochMs, durationMs: Date.now() - startedAtEpochMs, ...sum, error: problem };
    if (problem !== undefined) log.warn('prefetching in the background did not get everything', { problem });
    else if (sum.fetched > 0) log.info('prefetched in the background', sum);
  };

  plan(random() * Math.min(intervalMs, FIRST_RUN_MAX_MS));
  return {
    status: () => ({ intervalMs, isRunning: running !== undefined, lastRun }),
    async stop() {
      stopping.abort(new Error('the daemon is stopping'));
      clearTimeout(timer);
      await running;
    },
  };
}
