// Bounded concurrency in which a process that waits goes before work ahead of time.

/** `demand`: a process waits for it. `prefetch`: nobody does yet. */
export type Priority = 'demand' | 'prefetch';

/** Hands out slots: demands before prefetches, and first come, first served inside a class. */
export interface PriorityLimiter {
  /**
   * Waits for a slot; the result gives it back (calling it again does nothing). Rejects with the signal's reason when
   * it aborts before.
   */
  acquire(priority: Priority, signal?: AbortSignal): Promise<() => void>;
  /** Slots in use. */
  readonly active: number;
  /** Callers that wait. */
  readonly queued: number;
}

interface Waiter {
  readonly grant: () => void;
}

/**
 * A limiter of `slots`. Prefetches get at most `prefetchSlots` of them (default: half, and never all where there is
 * more than one), so that a demand does not have to wait for a prefetch to end.
 */
export function createPriorityLimiter(
  slots: number,
  prefetchSlots: number = Math.max(1, Math.floor(slots / 2)),
): PriorityLimiter {
  if (!(slots >= 1) || !(prefetchSlots >= 1))
    throw new RangeError('a limiter needs at least one slot of each kind');
  // Sets keep the order of insertion and remove in constant time: an aborted waiter leaves no trace.
  const waiting: Record<Priority, Set<Waiter>> = { demand: new Set(), prefetch: new Set() };
  let active = 0;
  let prefetching = 0;

  const hasRoom = (priority: Priority): boolean =>
    active < slots && (priority === 'demand' || prefetching < prefetchSlots);

  function take(priority: Priority): () => void {
    active++;
    if (priority === 'prefetch') prefetching++;
    let isHeld = true;
    return function release() {
      if (!isHeld) return;
      isHeld = false;
      active--;
      if (priority === 'prefetch') prefetching--;
      grantNext();
    };
  }

  function grantNext(): void {
    for (const priority of ['demand', 'prefetch'] as const) {
      for (const waiter of waiting[priority]) {
        if (!hasRoom(priority)) break;
        waiting[priority].delete(waiter);
        waiter.grant();
      }
    }
  }

  function acquire(priority: Priority, signal?: AbortSignal): Promise<() => void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (hasRoom(priority) && waiting[priority].size === 0) return Promise.resolve(take(priority));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        grant() {
          signal?.removeEventListener('abort', onAbort);
          resolve(take(priority));
        },
      };
      function onAbort(): void {
        waiting[priority].delete(waiter);
        reject(signal?.reason as Error);
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      waiting[priority].add(waiter);
    });
  }

  return {
    acquire,
    get active() {
      return active;
    },
    get queued() {
      return waiting.demand.size + waiting.prefetch.size;
    },
  };
}
