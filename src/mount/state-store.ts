// Writes the state file: one write at a time, and one for all changes that came while another was under way.
import { saveState, type SavedState } from './state-file.ts';

/** After a write that failed (the disk may be full), how long until the next attempt. */
const RETRY_DELAY_MS = 5000;

/** Keeps the state file in step with the registry. */
export interface StateStore {
  /**
   * Resolves when the state as it is now (or a later one) is durable in the file; rejects with Node's errors when it
   * could not be written. It is then tried again in the background.
   */
  save(): Promise<void>;
}

/** Makes the store; `current` tells the state at the moment of writing. */
export function createStateStore(path: string, current: () => SavedState): StateStore {
  let running: Promise<void> | undefined;
  let queued: Promise<void> | undefined;
  let retry: NodeJS.Timeout | undefined;

  const write = (): Promise<void> => {
    clearTimeout(retry);
    const writing = saveState(path, current())
      .catch((error: unknown) => {
        retry = setTimeout(() => void write().catch(() => undefined), RETRY_DELAY_MS);
        retry.unref();
        throw error;
      })
      .finally(() => {
        if (running === writing) running = undefined;
      });
    running = writing;
    return writing;
  };

  return {
    save() {
      if (running === undefined) return write();
      // A write that began before this change may lack it; the next one has it.
      queued ??= running
        .catch(() => undefined)
        .then(() => {
          queued = undefined;
          return write();
        });
      return queued;
    },
  };
}
