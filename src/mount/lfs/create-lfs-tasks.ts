// The tasks of a daemon: they run until their end, whoever listens.
import { randomUUID } from 'node:crypto';
import { MountError } from '../mount-error.ts';
import type { LfsTask, LfsTasks, LfsTaskSubject } from './lfs-tasks.ts';
import type { LfsProgress, LfsReport, LfsRun } from './mount-lfs.ts';

/** Tasks at once: each keeps transfers going, and whoever starts so many made a mistake. */
const RUNNING_MAX = 64;
/** Tasks that ended and are still told of. */
const ENDED_MAX = 100;
/** Least time between two reports of progress, in milliseconds. */
const PROGRESS_INTERVAL_MS = 100;

const NOTHING_YET: LfsProgress = {
  isCounting: true,
  files: 0,
  filesDone: 0,
  filesFailed: 0,
  filesPresent: 0,
  bytes: 0,
  totalBytes: 0,
};

/** Makes them; none run. */
export function createLfsTasks(): LfsTasks {
  return new Tasks();
}

class Task {
  task: LfsTask;
  readonly controller: AbortController = new AbortController();
  readonly listeners: Set<(task: LfsTask) => void> = new Set();
  finished: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #toldAt = -Infinity;

  constructor(subject: LfsTaskSubject) {
    const { kind, mountId, paths } = subject;
    this.task = {
      id: randomUUID(),
      kind,
      mountId,
      paths: [...paths],
      state: 'running',
      startedAtMs: Date.now(),
      endedAtMs: undefined,
      progress: NOTHING_YET,
      report: undefined,
      error: undefined,
    };
  }

  async execute(run: LfsRun): Promise<void> {
    const { signal } = this.controller;
    try {
      const report = await run((progress) => this.#progressed(progress), signal);
      this.#end({ state: 'done', report, progress: progressOf(report) });
    } catch (error) {
      this.#end({ state: signal.aborted ? 'cancelled' : 'failed', error: toMountError(error) });
    }
  }

  #progressed(progress: LfsProgress): void {
    if (this.task.state !== 'running') return;
    this.task = { ...this.task, progress };
    const wait = this.#toldAt + PROGRESS_INTERVAL_MS - performance.now();
    if (wait <= 0) this.#tell();
    else this.#timer ??= setTimeout(() => this.#tell(), wait);
  }

  #end(changes: Partial<LfsTask>): void {
    this.task = { ...this.task, ...changes, endedAtMs: Date.now() };
    this.#tell();
    this.listeners.clear();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#toldAt = performance.now();
    for (const listener of this.listeners) listener(this.task);
  }
}

class Tasks implements LfsTasks {
  readonly #tasks = new Map<string, Task>();
  #isClosed = false;

  start(subject: LfsTaskSubject, run: LfsRun): LfsTask {
    if (this.#isClosed) throw new MountError('internal', 'the daemon is stopping');
    const running = [...this.#tasks.values()].filter(({ task }) => task.state === 'running');
    if (running.length >= RUNNING_MAX) {
      throw new MountError('busy', `${RUNNING_MAX} tasks run already; wait for one to end, or cancel one`);
    }
    const task = new Task(subject);
    const { id } = task.task;
    this.#tasks.set(id, task);
    task.finished = task.execute(run).then(() => {
      // The last that ended is the newest, whenever it was started.
      if (this.#tasks.delete(id)) this.#tasks.set(id, task);
      this.#forgetOldest();
    });
    return task.task;
  }

  get(id: string): LfsTask | undefined {
    return this.#tasks.get(id)?.task;
  }

  list(): readonly LfsTask[] {
    const all = [...this.#tasks.values()].map(({ task }) => task);
    return all.sort((one, other) => one.startedAtMs - other.startedAtMs);
  }

  watch(id: string, listener: (task: LfsTask) => void): () => void {
    const found = this.#tasks.get(id);
    if (found === undefined || found.task.state !== 'running') return () => undefined;
    found.listeners.add(listener);
    return () => void found.listeners.delete(listener);
  }

  async cancel(id: string): Promise<LfsTask | undefined> {
    const found = this.#tasks.get(id);
    if (found === undefined) return undefined;
    found.controller.abort(new MountError('internal', 'it was cancelled'));
    await found.finished;
    return found.task;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#tasks.values()];
    for (const { controller } of all) controller.abort(new MountError('internal', 'the daemon is stopping'));
    await Promise.all(all.map(({ finished }) => finished));
  }

  #forgetOldest(): void {
    const ended = [...this.#tasks].filter(([, { task }]) => task.state !== 'running');
    for (const [id] of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) this.#tasks.delete(id);
  }
}

function toMountError(error: unknown): MountError {
  if (error instanceof MountError) return error;
  const { message } = error as Error;
  return new MountError('internal', message, { cause: error });
}

function progressOf(report: LfsReport): LfsProgress {
  const { isCounting, files, filesDone, filesFailed, filesPresent, bytes, totalBytes } = report;
  return { isCounting, files, filesDone, filesFailed, filesPresent, bytes, totalBytes };
}
