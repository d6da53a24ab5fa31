// The contract of tasks: runs about large files that go on when who started them is gone.
import type { MountError } from '../mount-error.ts';
import type { LfsProgress, LfsReport, LfsRun } from './mount-lfs.ts';

/** What a task does. */
export type LfsTaskKind = 'checkout' | 'fetch' | 'push' | 'prune' | 'dedup';

/** What a task is about. */
export interface LfsTaskSubject {
  readonly kind: LfsTaskKind;
  /** Undefined for what concerns all mounts. */
  readonly mountId: string | undefined;
  /** From the root of the mount, or of the local disk (dedup); empty: all. */
  readonly paths: readonly string[];
}

/** A task as it is at one moment. */
export interface LfsTask extends LfsTaskSubject {
  /** UUID. */
  readonly id: string;
  /** `done`: it came to its end, also when single files failed. */
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly progress: LfsProgress;
  /** Of a task that is done. */
  readonly report: LfsReport | undefined;
  /** Of a task that failed, or was cancelled. */
  readonly error: MountError | undefined;
}

/** The tasks of a daemon. Those that ended are kept for a while, so that one who asks late learns what became of them. */
export interface LfsTasks {
  /** Starts a run; what it throws at once is the task's error. Throws MountError when too many run, or after `close`. */
  start(subject: LfsTaskSubject, run: LfsRun): LfsTask;
  get(id: string): LfsTask | undefined;
  /** All that are known, oldest first. */
  list(): readonly LfsTask[];
  /**
   * Calls with each change of a task, its end included, until the returned function is called. Progress is told at most
   * ten times a second; the end at once. A task that has ended is never told of.
   */
  watch(id: string, listener: (task: LfsTask) => void): () => void;
  /** Asks a task to end; resolves with it when it has. Undefined: there is none of this id. */
  cancel(id: string): Promise<LfsTask | undefined>;
  /** Cancels all and waits for their end; new ones are refused. Never rejects. */
  close(): Promise<void>;
}
