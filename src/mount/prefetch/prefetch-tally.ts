// Counts what a prefetch finds and fetches, and tells it now and then.
import type {
  PrefetchFailure,
  PrefetchPackProgress,
  PrefetchProgress,
  PrefetchReport,
} from '../mount-host.ts';

/** Least time between two reports, in milliseconds. */
const REPORT_INTERVAL_MS = 100;
/** A report comes this often also when nothing happens: whoever listens sees that the work goes on. */
const HEARTBEAT_MS = 5000;
const FAILURES_MAX = 100;

/** The numbers, which the run changes. */
export class PrefetchTally {
  isCounting = true;
  folders = 0;
  files = 0;
  present = 0;
  fetched = 0;
  failed = 0;
  bytes = 0;
  totalBytes = 0;
  unsized = 0;
  usedPack = false;
  readonly #failures: PrefetchFailure[] = [];
  readonly #report: (progress: PrefetchProgress) => void;
  readonly #startedAt = performance.now();
  readonly #heartbeat: NodeJS.Timeout;
  #pack: PrefetchPackProgress | undefined;
  #reportedAt = -Infinity;

  /** `end` must be called. */
  constructor(report: (progress: PrefetchProgress) => void) {
    this.#report = report;
    this.#heartbeat = setInterval(() => this.tell(), HEARTBEAT_MS);
  }

  get pack(): PrefetchPackProgress | undefined {
    return this.#pack;
  }

  set pack(progress: PrefetchPackProgress | undefined) {
    this.#pack = progress;
    this.changed();
  }

  /** Something could not be fetched, which `files` files need. `path` is a latin1 binary string. */
  fail(path: string, error: Error, files: number): void {
    this.failed += files;
    if (this.#failures.length < FAILURES_MAX) {
      this.#failures.push({ path: Buffer.from(path, 'latin1').toString('utf8'), error: error.message });
    }
    this.changed();
  }

  /** Reports if the last report is long enough ago. */
  changed(): void {
    if (performance.now() - this.#reportedAt >= REPORT_INTERVAL_MS) this.tell();
  }

  /** Reports. */
  tell(): void {
    this.#reportedAt = performance.now();
    this.#report(this.#progress());
  }

  /** The final numbers. */
  result(): PrefetchReport {
    return {
      ...this.#progress(),
      failures: this.#failures,
      usedPack: this.usedPack,
      durationMs: Math.round(performance.now() - this.#startedAt),
    };
  }

  /** No more reports. */
  end(): void {
    clearInterval(this.#heartbeat);
  }

  #progress(): PrefetchProgress {
    const { isCounting, folders, files, present, fetched, failed, bytes, totalBytes, unsized } = this;
    const pack = this.#pack;
    return { isCounting, folders, files, present, fetched, failed, bytes, totalBytes, unsized, pack };
  }
}
