// One abort signal that follows several others, and lets go of them.
import { setMaxListeners } from 'node:events';

/** A signal that aborts with the first of its sources, or by itself. */
export interface AbortLink {
  readonly signal: AbortSignal;
  /** Aborts with this reason; the first reason counts. */
  abort(reason: unknown): void;
  /** Detaches from the sources. Always to be called: a source may live as long as the process. */
  unlink(): void;
}

/** Links to the sources that are there. `AbortSignal.any` would keep every link alive as long as its sources. */
export function linkAbort(...sources: readonly (AbortSignal | undefined)[]): AbortLink {
  const controller = new AbortController();
  // Many requests at once may share a signal: Node would warn of a leak, which `unlink` prevents.
  setMaxListeners(0, controller.signal);
  const detach: (() => void)[] = [];
  for (const source of sources) {
    if (source === undefined) continue;
    if (source.aborted) {
      controller.abort(source.reason);
      break;
    }
    setMaxListeners(0, source);
    const follow = (): void => controller.abort(source.reason);
    source.addEventListener('abort', follow, { once: true });
    detach.push(() => source.removeEventListener('abort', follow));
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink() {
      for (const each of detach) each();
    },
  };
}
