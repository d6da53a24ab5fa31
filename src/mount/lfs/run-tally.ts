// Counts what a run about large files does, and tells it now and then.
import { reasonOf } from '../../lfs/reason-of.ts';
import { MountError } from '../mount-error.ts';
import type { LfsProgress, LfsReport } from './mount-lfs.ts';

/** Least time between two reports, in milliseconds. */
const REPORT_INTERVAL_MS = 100;
const FAILURES_MAX = 100;
const WARNINGS_MAX = 100;

/** The numbers, which the run changes. Files count with each path, bytes once for each content. */
export class RunTally {
  isCounting = true;
  files = 0;
  filesDone = 0;
  filesFailed = 0;
  filesPresent = 0;
  bytes = 0;
  totalBytes = 0;
  readonly #failures: { path: string; oid: string; reason: string }[] = [];
  readonly #warnings: string[] = [];
  readonly #report: (progress: LfsProgress) => void;
  readonly #startedAt = performance.now();
  #reportedAt = -Infinity;

  constructor(report: (progress: LfsProgress) => void) {
    this.#report = report;
    this.changed();
  }

  /** A file is done; `isPresent`: nothing had to be transferred for it. */
  done(isPresent: boolean): void {
    this.filesDone++;
    if (isPresent) this.filesPresent++;
    this.changed();
  }

  /** A file could not be had, or sent. UTF-8 text. */
  fail(path: string, oid: string, reason: string): void {
    this.filesFailed++;
    if (this.#failures.length < FAILURES_MAX)
      this.#failures.push({ path, oid, reason: reasonOf(reason, path) });
    this.changed();
  }

  warn(message: string): void {
    if (this.#warnings.length < WARNINGS_MAX) this.#warnings.push(message);
  }

  /** Reports if the last report is long enough ago. */
  changed(): void {
    if (performance.now() - this.#reportedAt < REPORT_INTERVAL_MS) return;
    this.#reportedAt = performance.now();
    this.#report(this.#progress());
  }

  /** The final numbers, which are reported, too. */
  result(): LfsReport {
    this.isCounting = false;
    const progress = this.#progress();
    this.#report(progress);
    return {
      ...progress,
      failures: this.#failures,
      durationMs: Math.round(performance.now() - this.#startedAt),
      ...(this.#warnings.length === 0 ? {} : { warnings: this.#warnings }),
    };
  }

  #progress(): LfsProgress {
    const { isCounting, files, filesDone, filesFailed, filesPresent, bytes, totalBytes } = this;
    return { isCounting, files, filesDone, filesFailed, filesPresent, bytes, totalBytes };
  }
}

/** Throws when a run was told to end. */
export function throwIfEnded(signal: AbortSignal): void {
  if (!signal.aborted) return;
  const reason = signal.reason as Error;
  throw reason instanceof MountError ? reason : new MountError('internal', reason.message, { cause: reason });
}
