// Keeps the checked-out folders of a mount fetched: in the background, behind all demands, again when the server was away.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../util/logger.ts';
import { MountError } from '../mount-error.ts';
import type { LfsRun } from './mount-lfs.ts';

/** Waits before another attempt, first and at most, in milliseconds. */
const FIRST_PAUSE_MS = 15_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** What it needs. */
export interface ActiveFetchOptions {
  /** Folders of the mount that were checked out; latin1, `''` for the root. */
  readonly folders: () => Promise<readonly string[]>;
  readonly fetch: (folders: readonly string[]) => LfsRun;
  readonly log: Logger;
  /** Milliseconds to wait before the attempt after so many that failed; default: longer each time. */
  readonly pauseMs?: (failures: number) => number;
}

/** The background work of one mount. */
export interface ActiveFetch {
  /** Begins, or begins anew when the folders have changed. */
  restart(): void;
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

/** Makes it; nothing runs yet. */
export function createActiveFetch(options: ActiveFetchOptions): ActiveFetch {
  let controller: AbortController | undefined;
  let running: Promise<void> = Promise.resolve();
  let isStopped = false;

  const end = (): void =>
    controller?.abort(new MountError('internal', 'the mount has ended, or its folders changed'));

  return {
    restart() {
      if (isStopped) return;
      end();
      const own = new AbortController();
      controller = own;
      running = running.then(() => keepFetched(options, own.signal));
    },
    async stop() {
      isStopped = true;
      end();
      await running;
    },
  };
}

/** Fetches until all is there; never rejects. */
async function keepFetched(options: ActiveFetchOptions, signal: AbortSignal): Promise<void> {
  const { folders, fetch, log, pauseMs = usualPause } = options;
  let told = '';
  for (let failures = 1; !signal.aborted; failures++) {
    let problem: string | undefined;
    try {
      const wanted = await folders();
      if (wanted.length === 0) return;
      const report = await fetch(wanted)(() => undefined, signal);
      const fetched = report.filesDone - report.filesPresent;
      if (fetched > 0) log.info('fetched large files of checked-out folders', { files: fetched });
      if (report.filesFailed === 0) return;
      problem = report.failures[0]?.reason;
    } catch (error) {
      if (signal.aborted) return;
      problem = (error as Error).message;
    }
    // The same reason once: it is tried again for as long as the mount lives.
    if (problem !== told)
      log.warn('large files of checked-out folders are still missing; trying again', { problem });
    told = problem ?? '';
    await delay(pauseMs(failures), undefined, { signal, ref: false }).catch(() => undefined);
  }
}

function usualPause(failures: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return longest * (0.75 + Math.random() / 2);
}
