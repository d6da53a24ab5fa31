// The request that an action of the batch API stands for.
import type { HttpAsked } from './lfs-http.ts';
import type { TransferAction } from './lfs-client.ts';

/** Headers that belong to the connection, or that say of the body what only its sender can know. */
const NOT_THEIRS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/**
 * A request with the action's headers, which stay with the action's host, and `headers` of the request itself, which
 * win.
 */
export function actionRequest(
  method: HttpAsked['method'],
  action: TransferAction,
  headers: Readonly<Record<string, string>>,
): HttpAsked {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(action.header)) {
    const lower = name.toLowerCase();
    if (!NOT_THEIRS.has(lower) && !(lower in headers)) own[lower] = value;
  }
  return { method, url: new URL(action.href), headers, ownHeaders: own };
}
