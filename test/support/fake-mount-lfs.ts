// Large files of a mount without any: remembers what is asked, and answers as a test wants.
import type { LfsLock } from '../../src/lfs/client/lfs-client.ts';
import type {
  LfsCare,
  LfsProgress,
  LfsReport,
  LfsRun,
  LfsStatus,
  MountLfs,
} from '../../src/mount/lfs/mount-lfs.ts';
import { MountError } from '../../src/mount/mount-error.ts';

/** Something that was asked for, and with what. */
export type Asked = readonly [string, ...unknown[]];

/** A report in which nothing happened, but for what is given. */
export function lfsReport(numbers: Partial<LfsReport> = {}): LfsReport {
  return {
    isCounting: false,
    files: 0,
    filesDone: 0,
    filesFailed: 0,
    filesPresent: 0,
    bytes: 0,
    totalBytes: 0,
    failures: [],
    durationMs: 1,
    ...numbers,
  };
}

/** A lock. */
export function lockOf(path: string, owner: string = 'alice'): LfsLock {
  return { id: `id-${path}`, path, lockedAt: '2026-11-21T18:00:00Z', owner };
}

/** The fake, with its levers: both contracts at once. */
export class FakeMountLfs implements MountLfs, LfsCare {
  readonly asked: Asked[] = [];
  /** What every run does. */
  run: LfsRun = async (onProgress) => {
    onProgress(lfsReport({ isCounting: true, files: 1, totalBytes: 10 }));
    return lfsReport({ files: 2, filesDone: 2, filesPresent: 1, bytes: 10, totalBytes: 10 });
  };
  answer: LfsStatus = {
    server: 'http://lfs.example/info/lfs',
    serverProblem: undefined,
    files: [],
    hashing: 0,
    transfers: [],
    failures: [],
    activeFolders: [],
  };
  active: readonly string[] = [];
  /** Locks of the server, by path. */
  readonly held: Map<string, LfsLock> = new Map();
  patterns: readonly string[] = [];
  /** Thrown by whatever is asked next, while it is set. */
  error: Error | undefined;
  /** Thrown by `status` where the server is to be asked, while it is set. */
  serverError: Error | undefined;

  #note(...asked: Asked): void {
    this.asked.push(asked);
    if (this.error !== undefined) throw this.error;
  }

  async status(...asked: Parameters<MountLfs['status']>): Promise<LfsStatus> {
    this.#note('status', asked[0], asked[1]);
    if (asked[1].askServer && this.serverError !== undefined) throw this.serverError;
    return this.answer;
  }

  fetch(...asked: Parameters<MountLfs['fetch']>): LfsRun {
    this.#note('fetch', ...asked);
    return this.run;
  }

  async deactivate(...asked: Parameters<MountLfs['deactivate']>): Promise<readonly string[]> {
    this.#note('deactivate', ...asked);
    return this.active;
  }

  push(...asked: Parameters<MountLfs['push']>): LfsRun {
    this.#note('push', ...asked);
    return this.run;
  }

  async commitBlob(): Promise<never> {
    throw new MountError('internal', 'nobody commits here');
  }

  async lock(paths: readonly string[]): ReturnType<MountLfs['lock']> {
    this.#note('lock', paths);
    return paths.map((path) => {
      const held = this.held.get(path);
      if (held !== undefined) {
        return { path, lock: held, error: `${path} is locked by ${held.owner ?? 'somebody'}` };
      }
      this.held.set(path, lockOf(path));
      return { path, lock: lockOf(path), error: undefined };
    });
  }

  async unlock(wanted: Parameters<MountLfs['unlock']>[0]): ReturnType<MountLfs['unlock']> {
    this.#note('unlock', wanted);
    const byId = [...this.held.values()].filter((lock) => lock.id === wanted.id).map(({ path }) => path);
    const paths = wanted.id === undefined ? wanted.paths : byId;
    return paths.map((path) => {
      const lock = this.held.get(path);
      this.held.delete(path);
      return { path, lock, error: lock === undefined ? `${path} is not locked` : undefined };
    });
  }

  async locks(filter: Parameters<MountLfs['locks']>[0]): ReturnType<MountLfs['locks']> {
    this.#note('locks', filter);
    return [...this.held.values()].filter(({ path }) => filter.path === undefined || filter.path === path);
  }

  async verifyLocks(): ReturnType<MountLfs['verifyLocks']> {
    this.#note('verifyLocks');
    return { ours: [...this.held.values()], theirs: [{ ...lockOf('other.bin'), owner: undefined }] };
  }

  prune(...asked: Parameters<LfsCare['prune']>): LfsRun {
    this.#note('prune', ...asked);
    return this.run;
  }

  dedup(...asked: Parameters<LfsCare['dedup']>): LfsRun {
    this.#note('dedup', ...asked);
    return this.run;
  }

  async trackPatterns(patterns: readonly string[]): Promise<readonly string[]> {
    this.#note('trackPatterns', patterns);
    this.patterns = [...new Set([...this.patterns, ...patterns])];
    return this.patterns;
  }

  async untrackPatterns(patterns: readonly string[]): Promise<readonly string[]> {
    this.#note('untrackPatterns', patterns);
    this.patterns = this.patterns.filter((pattern) => !patterns.includes(pattern));
    return this.patterns;
  }

  async trackedPatterns(): Promise<readonly string[]> {
    return this.patterns;
  }
}

/** A run that a test lets go on and end. */
export interface HeldRun {
  readonly run: LfsRun;
  /** Resolves when it was started. */
  readonly started: Promise<void>;
  progress(numbers: Partial<LfsProgress>): void;
  finish(report?: LfsReport): void;
  /** Whether it was told to end. */
  readonly signal: () => AbortSignal | undefined;
}

/** Makes one. It rejects when its signal aborts. */
export function holdRun(): HeldRun {
  let begin: () => void = () => undefined;
  const started = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let tell: (progress: LfsProgress) => void = () => undefined;
  let finish: (report: LfsReport) => void = () => undefined;
  let heard: AbortSignal | undefined;
  return {
    run(onProgress, signal) {
      [tell, heard] = [onProgress, signal];
      begin();
      return new Promise((resolve, reject) => {
        finish = resolve;
        signal.addEventListener('abort', () => reject(new MountError('internal', 'it was cancelled')));
      });
    },
    started,
    progress: (numbers) => tell(lfsReport(numbers)),
    finish: (report = lfsReport()) => finish(report),
    signal: () => heard,
  };
}
