// Puts the LFS client together.
import type { Awaitable } from '../../util/types.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsOid } from '../lfs-object.ts';
import { createBatchRoute } from './batch.ts';
import { createCredentials } from './credentials.ts';
import { startDownload } from './download.ts';
import { placesOf, urlBelow } from './endpoint.ts';
import type { Place } from './endpoint.ts';
import { abortedError, shownUrl } from './failures.ts';
import { createServerFinder } from './find-server.ts';
import { loadGitSettings } from './git-settings.ts';
import type { GitSettings } from './git-settings.ts';
import { createLfsApi } from './lfs-api.ts';
import type { LfsClient } from './lfs-client.ts';
import { parseLfsConfig } from './lfs-config.ts';
import { createLfsHttp } from './lfs-http.ts';
import { createLocator } from './locator.ts';
import { createLocksRoute } from './locks.ts';
import { uploadAll } from './upload.ts';

const DEFAULT_MAX_ATTEMPTS = 8;
const DEFAULT_REF = 'refs/heads/main';

/** Where the server is and how to talk to it. Times are in milliseconds. */
export interface LfsClientOptions {
  /** URL of the monorepo's server; it may have `user:password@`. */
  readonly baseUrl: string;
  /** `lfs_url` of the configuration; undefined: found by itself. It may have `user:password@`. */
  readonly lfsUrl?: string | undefined;
  /** Path of the mount in the monorepo, with a leading slash. UTF-8 text. */
  readonly path: string;
  /** Content of the .lfsconfig at the mount's root, where there is one; asked once, when it is needed. */
  readonly lfsConfig?: (signal: AbortSignal) => Awaitable<Uint8Array | undefined>;
  /** `lfs_token`. */
  readonly token?: string | undefined;
  /** The branch that locks and objects are for; default `refs/heads/main`. */
  readonly ref?: string;
  readonly connectTimeoutMs: number;
  /** Deadline of an answer of the API, and of silence before and in any other. */
  readonly silenceTimeoutMs: number;
  /** Attempts of one request, the first included; default 8. */
  readonly maxAttempts?: number;
  /** Uploads at once. */
  readonly concurrency: number;
  readonly userAgent?: string;
  /** Told of repeats and of the server's oddities. */
  readonly log?: (message: string) => void;
  /** Told of what the user should see to. */
  readonly warn?: (message: string) => void;
}

function parseUrl(text: string, key: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // Not even a part of the text goes into the message: it may hold a password.
    throw new LfsError('invalid', `${key} must be a URL that begins with http:// or https://`);
  }
  return url;
}

/** The .lfsconfig. Without it nobody can tell where the server is: it may be elsewhere than at the usual places. */
async function lfsConfigOf(
  { lfsConfig }: LfsClientOptions,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await lfsConfig?.(signal);
  } catch (error) {
    if (signal.aborted) throw abortedError(signal, 'reading .lfsconfig');
    if (error instanceof LfsError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new LfsError(
      'unreachable',
      `cannot read .lfsconfig, which may say where the LFS server is: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

/** The value of a function that is called once; a failed call is made again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

/** Opens no connection yet. Throws LfsError (`invalid`) where a URL is none. */
export function createLfsClient(options: LfsClientOptions): LfsClient {
  const log = options.log ?? ((): void => undefined);
  const warn = options.warn ?? log;
  const baseUrl = parseUrl(options.baseUrl, 'base_url');
  const lfsUrl = options.lfsUrl === undefined ? undefined : parseUrl(options.lfsUrl, 'lfs_url');
  const maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
  const ref = options.ref ?? DEFAULT_REF;
  const settings = once<GitSettings>(() => loadGitSettings(log));
  const http = createLfsHttp({ ...options, userAgent: options.userAgent ?? 'scorpio' });
  const credentials = createCredentials({
    token: options.token,
    tokenFor: lfsUrl ?? baseUrl,
    configured: lfsUrl === undefined ? [baseUrl] : [lfsUrl, baseUrl],
    settings,
    log,
  });
  const limits = { maxAttempts, attemptTimeoutMs: options.silenceTimeoutMs };
  const api = createLfsApi(http, credentials, limits, log);

  async function places(signal: AbortSignal): Promise<readonly Place[]> {
    const git = await settings();
    const content = lfsUrl === undefined ? await lfsConfigOf(options, signal) : undefined;
    const found = content === undefined ? undefined : parseLfsConfig(content);
    if (found?.problem !== undefined) warn(found.problem);
    return placesOf({
      baseUrl,
      lfsUrl,
      lfsConfigUrl: found?.url,
      path: options.path,
      rewrite: (url) => git.rewrite(url),
    });
  }

  const finder = createServerFinder({ places, warn });
  const batch = createBatchRoute({ api, finder, baseUrl, ref });
  const locator = createLocator(batch, http.closing);

  return {
    get url() {
      return shownUrl(finder.known ?? urlBelow(lfsUrl ?? baseUrl, ''));
    },
    locate: (objects, request) => locator.locate(objects, request?.signal),
    forget: (oid) => locator.forget(oid),
    async download(object, action, range, request) {
      try {
        return await startDownload({ http, api, object, action, range, signal: request?.signal });
      } catch (error) {
        // What was answered of it is of no use any more.
        if (error instanceof LfsError && [401, 403, 404, 410].includes(error.status ?? 0)) {
          locator.forget(object.oid);
        }
        throw error;
      }
    },
    upload: (sources, observer, request) =>
      uploadAll(
        { http, api, batch, maxAttempts, concurrency: options.concurrency, log },
        sources,
        observer ?? {},
        request?.signal,
      ),
    async present(objects, request) {
      const present = new Set<LfsOid>();
      for (let rest = objects; rest.length > 0;) {
        const part = rest.slice(0, batch.maxObjects);
        rest = rest.slice(part.length);
        const asked = { operation: 'download' as const, objects: part, transfers: ['basic'] };
        const answer = await batch.ask(asked, request?.signal ?? http.closing);
        for (const [oid, found] of answer.objects) {
          if (!(found instanceof LfsError) && found.download !== undefined) present.add(oid);
        }
      }
      return present;
    },
    locks: createLocksRoute({ api, finder, probe: batch.probe, ref, closing: http.closing }),
    close: () => http.close(),
  };
}
