// What makes the daemon stop: signals, and faults that nobody caught.
import type { Logger } from '../util/logger.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Watches for reasons to stop. */
export interface StopSignals {
  /** Resolves with the exit code when there is a reason to stop. */
  readonly stopped: Promise<number>;
  /** Resolves when somebody insists: a second signal. */
  readonly forced: Promise<void>;
  /** Gives the process its ordinary handling back. */
  dispose(): void;
}

/** Starts to watch. A daemon that a fault brings down stops in order too: mounts must not be left dead. */
export function watchStopSignals(log: Logger): StopSignals {
  let stop!: (code: number) => void;
  let force!: () => void;
  const stopped = new Promise<number>((resolve) => {
    stop = resolve;
  });
  const forced = new Promise<void>((resolve) => {
    force = resolve;
  });
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    log.info(signals === 1 ? 'stopping' : 'stopping at once', { signal });
    if (signals === 1) stop(0);
    else force();
  };
  const onFault = (error: unknown): void => {
    log.error('an unforeseen fault; stopping', { error });
    log.debug('where it came from', { error });
    stop(1);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  return {
    stopped,
    forced,
    dispose() {
      for (const signal of SIGNALS) process.off(signal, onSignal);
      process.off('uncaughtException', onFault);
      process.off('unhandledRejection', onFault);
    },
  };
}
