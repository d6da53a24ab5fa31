// How long work of the daemon is shown while it runs: a bar on a terminal, a line now and then elsewhere.
import { formatByteSize } from '../util/byte-size.ts';

/** How far work has come. */
export interface ProgressNumbers {
  /** Whether more files may be found. */
  readonly isCounting: boolean;
  readonly files: number;
  /** Of these, nothing is left to do for; those that failed included. */
  readonly filesDone: number;
  readonly filesFailed: number;
  readonly bytes: number;
  readonly totalBytes: number;
  /** Files that `totalBytes` leaves out, since their size is not known. */
  readonly filesUnsized: number;
  /** What is to be said instead of all that; `bytes` still make the rate. */
  readonly instead?: string | undefined;
}

/** Shows numbers. */
export interface ProgressView {
  show(numbers: ProgressNumbers): void;
  /** Clears the line. */
  end(): void;
}

/** The bar leaves its room to the words. */
const BAR_CELLS = { most: 24, least: 6 };
const LINE_INTERVAL_MS = 5000;
/** The rate is that of so many last milliseconds. */
const RATE_WINDOW_MS = 5000;
const CLEAR_LINE = '\r\u001B[K';

/** A time in seconds: `12 s`, `3:05 min`, `2:10 h`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pair = (high: number, low: number): string => `${high}:${String(low).padStart(2, '0')}`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${pair(Math.floor(whole / 60), whole % 60)} min`;
  return `${pair(Math.floor(whole / 3600), Math.floor((whole % 3600) / 60))} h`;
}

/** The share that is done, from 0 to 1: by bytes where all sizes are known, else by files. */
export function shareOf(numbers: ProgressNumbers): number {
  const { files, filesDone, filesUnsized, bytes, totalBytes } = numbers;
  const share = filesUnsized === 0 && totalBytes > 0 ? bytes / totalBytes : filesDone / files;
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

/** The numbers as one line of text. `rate` is in bytes per second. */
export function describeProgress(numbers: ProgressNumbers, rate: number): string {
  const { isCounting, files, filesDone, filesFailed, bytes, totalBytes, filesUnsized, instead } = numbers;
  if (instead !== undefined) return instead;
  const more = isCounting ? '+' : '';
  const parts = [`${filesDone}/${files}${more} files`];
  const totals = `${formatByteSize(totalBytes)}${more || filesUnsized > 0 ? '+' : ''}`;
  if (totalBytes > 0 || bytes > 0) parts.push(`${formatByteSize(bytes)}/${totals}`);
  if (rate > 0) parts.push(`${formatByteSize(rate)}/s`);
  if (rate > 0 && !isCounting && filesUnsized === 0 && totalBytes > bytes) {
    parts.push(`${formatSeconds((totalBytes - bytes) / rate)} left`);
  }
  if (filesFailed > 0) parts.push(`${filesFailed} failed`);
  return parts.join(', ');
}

/** Where it is shown: stderr, or what stands for it. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A view on a terminal, or in lines. `now` is in milliseconds. */
export function createProgressView(
  output: ProgressOutput,
  now: () => number = () => performance.now(),
): ProgressView {
  const rateOf = createRate(now);
  let lastLine = now();
  return {
    show(numbers) {
      const text = describeProgress(numbers, rateOf(numbers.bytes));
      if (output.isTTY === true) {
        const width = (output.columns ?? 80) - 1;
        output.write(CLEAR_LINE + barLine(numbers, text, width).slice(0, width));
        return;
      }
      if (now() - lastLine < LINE_INTERVAL_MS) return;
      lastLine = now();
      output.write(`${text}\n`);
    },
    end() {
      if (output.isTTY === true) output.write(CLEAR_LINE);
    },
  };
}

function barLine(numbers: ProgressNumbers, text: string, width: number): string {
  const share = shareOf(numbers);
  const percent = numbers.isCounting ? '  …' : `${Math.floor(share * 100)}%`.padStart(4);
  const room = width - `[]${percent} ${text}`.length;
  const cells = Math.min(BAR_CELLS.most, Math.max(BAR_CELLS.least, room));
  const done = Math.round(share * cells);
  return `[${'#'.repeat(done)}${'.'.repeat(cells - done)}]${percent} ${text}`;
}

function createRate(now: () => number): (bytes: number) => number {
  let points: { at: number; bytes: number }[] = [];
  return (bytes) => {
    const at = now();
    // Work in several steps counts from the beginning in each, and an upload that begins anew takes bytes back.
    if (bytes < (points.at(-1)?.bytes ?? 0)) points = [];
    points.push({ at, bytes });
    while ((points[1]?.at ?? Infinity) < at - RATE_WINDOW_MS) points.shift();
    const [first] = points;
    if (first === undefined || at - first.at < 200) return 0;
    return ((bytes - first.bytes) * 1000) / (at - first.at);
  };
}
