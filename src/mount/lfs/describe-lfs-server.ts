// Whether the LFS server that the configuration leads to can be used, for `scorpio doctor`.
import type { Config } from '../../config/config.ts';
import { createLfsClient } from '../../lfs/client/create-lfs-client.ts';

/** What was found. */
export interface LfsServerDescription {
  /** Without credentials. */
  readonly url: string;
  /** Why it cannot be used. */
  readonly problem: string | undefined;
}

/** Any object will do: a server that has none says so, and is there. */
const ASKED_FOR = { oid: '0'.repeat(64), size: 1 };

/** Asks once, as a mount of the whole monorepo without .lfsconfig would. Never rejects. */
export async function describeLfsServer(config: Config, timeoutMs: number): Promise<LfsServerDescription> {
  let url = 'lfs_url';
  try {
    const client = createLfsClient({
      baseUrl: config.baseUrl,
      lfsUrl: config.lfsUrl,
      path: '/',
      token: config.lfsToken,
      connectTimeoutMs: timeoutMs,
      silenceTimeoutMs: timeoutMs,
      maxAttempts: 1,
      concurrency: 1,
    });
    try {
      await client.present([ASKED_FOR], { signal: AbortSignal.timeout(timeoutMs) });
      return { url: client.url, problem: undefined };
    } finally {
      url = client.url;
      await client.close();
    }
  } catch (error) {
    return { url, problem: (error as Error).message };
  }
}
