// Tries failed mounts again, each in its own rhythm: the longer it failed, the longer the wait.

const MAX_DELAY_MS = 60_000;

/** Waiting attempts, by mount id. */
export interface Retries {
  /** Plans the next attempt: the wait doubles with each call until `reset`. */
  schedule(id: string): void;
  /** Drops the planned attempt, but remembers how long the wait was. */
  cancel(id: string): void;
  /** It worked: the next failure waits shortly again. */
  reset(id: string): void;
  /** Drops everything; later calls do nothing. */
  stop(): void;
}

/** Retries that first wait `delayMs`, at most a minute. `attempt` must not reject. */
export function createRetries(delayMs: number, attempt: (id: string) => Promise<void>): Retries {
  const timers = new Map<string, NodeJS.Timeout>();
  const delays = new Map<string, number>();
  let stopped = false;

  const cancel = (id: string): void => {
    clearTimeout(timers.get(id));
    timers.delete(id);
  };
  const fire = (id: string): void => {
    timers.delete(id);
    void attempt(id);
  };
  return {
    schedule(id) {
      if (stopped) return;
      cancel(id);
      const delay = delays.get(id) ?? delayMs;
      delays.set(id, Math.min(delay * 2, MAX_DELAY_MS));
      // A planned attempt alone does not keep the process alive.
      timers.set(id, setTimeout(fire, delay, id).unref());
    },
    cancel,
    reset(id) {
      cancel(id);
      delays.delete(id);
    },
    stop() {
      stopped = true;
      for (const id of timers.keys()) cancel(id);
    },
  };
}
