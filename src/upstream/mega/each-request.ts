// Several requests that belong together: when one fails, the others end.
import { linkAbort } from '../../util/abort-link.ts';
import { eachLimited } from '../../util/each-limited.ts';
import type { UpstreamRequest } from '../upstream.ts';

/**
 * Calls `task` for every item, at most `limit` at once, with a request that aborts at the first failure. Settles when
 * all calls have; rejects with the first failure. The limit keeps a long list out of the queue for slots, where it
 * would stand before everybody who comes later.
 */
export async function eachRequest<T>(
  items: readonly T[],
  limit: number,
  request: UpstreamRequest | undefined,
  task: (item: T, request: UpstreamRequest) => Promise<void>,
): Promise<void> {
  const link = linkAbort(request?.signal);
  try {
    await eachLimited(items, limit, async (item) => {
      try {
        await task(item, { ...request, signal: link.signal });
      } catch (error) {
        link.abort(error);
        throw error;
      }
    });
  } finally {
    link.unlink();
  }
}
