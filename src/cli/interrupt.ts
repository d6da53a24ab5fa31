// Ctrl-C as a signal for what waits.

/** Exit code of a command that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** Aborts at Ctrl-C, or when the command is told to end. A second Ctrl-C ends the process as usual. */
export function interruptible(): { readonly signal: AbortSignal; readonly dispose: () => void } {
  const interrupt = new AbortController();
  const stop = (): void => {
    dispose();
    interrupt.abort();
  };
  const dispose = (): void => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  return { signal: interrupt.signal, dispose };
}
