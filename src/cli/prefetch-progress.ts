// How a prefetch is shown while it runs: a bar on a terminal, a line now and then elsewhere.
import type { PrefetchNumbers as NumbersOfAnyEvent } from '../http/prefetch.ts';
import { formatByteSize } from '../util/byte-size.ts';

/** A `progress` event of the HTTP API. */
export interface PrefetchNumbers extends NumbersOfAnyEvent {
  readonly counting?: boolean;
  readonly pack?: { readonly objects: number; readonly total_objects: number; readonly bytes: number } | null;
}

/** Shows numbers. */
export interface ProgressView {
  show(numbers: PrefetchNumbers): void;
  /** Clears the line. */
  end(): void;
}

const BAR_CELLS = 24;
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
export function shareOf(numbers: PrefetchNumbers): number {
  const { files, present, fetched, failed, bytes, total_bytes: totalBytes, unsized } = numbers;
  const share = unsized === 0 && totalBytes > 0 ? bytes / totalBytes : (present + fetched + failed) / files;
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

/** The numbers as one line of text. `rate` is in bytes per second. */
export function describeProgress(numbers: PrefetchNumbers, rate: number): string {
  const { files, present, fetched, failed, bytes, total_bytes: total, unsized, counting, pack } = numbers;
  if (pack) {
    const share =
      pack.total_objects === 0 ? '' : ` ${Math.floor((pack.objects / pack.total_objects) * 100)}%`;
    return `receiving one pack${share}, ${formatByteSize(pack.bytes)}`;
  }
  const more = counting ? '+' : '';
  const parts = [`${present + fetched + failed}/${files}${more} files`];
  const totals = `${formatByteSize(total)}${more || unsized > 0 ? '+' : ''}`;
  if (total > 0 || bytes > 0) parts.push(`${formatByteSize(bytes)}/${totals}`);
  if (rate > 0) parts.push(`${formatByteSize(rate)}/s`);
  if (rate > 0 && !counting && unsized === 0 && total > bytes) {
    parts.push(`${formatSeconds((total - bytes) / rate)} left`);
  }
  if (failed > 0) parts.push(`${failed} failed`);
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
      const rate = rateOf(numbers.pack?.bytes ?? numbers.bytes);
      const text = describeProgress(numbers, rate);
      if (output.isTTY === true) {
        const share = shareOf(numbers);
        const done = Math.round(share * BAR_CELLS);
        const percent = numbers.counting === true ? '  …' : `${Math.floor(share * 100)}%`.padStart(4);
        const line = `[${'#'.repeat(done)}${'.'.repeat(BAR_CELLS - done)}]${percent} ${text}`;
        output.write(CLEAR_LINE + line.slice(0, (output.columns ?? 80) - 1));
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

function createRate(now: () => number): (bytes: number) => number {
  let points: { at: number; bytes: number }[] = [];
  return (bytes) => {
    const at = now();
    // A pack and the files after it are counted from the beginning each.
    if (bytes < (points.at(-1)?.bytes ?? 0)) points = [];
    points.push({ at, bytes });
    while ((points[1]?.at ?? Infinity) < at - RATE_WINDOW_MS) points.shift();
    const [first] = points;
    if (first === undefined || at - first.at < 200) return 0;
    return ((bytes - first.bytes) * 1000) / (at - first.at);
  };
}
