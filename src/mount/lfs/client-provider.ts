// The LFS server of one mount: looked for when it is needed, and what it failed with the last time.
import { closeSync } from 'node:fs';
import type { Layer } from '../../layers/layer.ts';
import type { LfsClientOptions } from '../../lfs/client/create-lfs-client.ts';
import { createLfsClient } from '../../lfs/client/create-lfs-client.ts';
import type { LfsClient } from '../../lfs/client/lfs-client.ts';
import { LFSCONFIG_MAX_BYTES } from '../../lfs/client/lfs-config.ts';
import { LfsError } from '../../lfs/lfs-error.ts';
import { readStart } from '../../util/read-start.ts';
import type { LfsClientProvider } from './mount-lfs-parts.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** A provider that is closed with its mount. */
export interface ClosableClientProvider extends LfsClientProvider {
  /** Requests under way reject. */
  close(): Promise<void>;
}

/** Makes the provider; nothing is opened or asked. `plain` shows the mount's `.lfsconfig`. */
export function createClientProvider(
  options: Omit<LfsClientOptions, 'lfsConfig'>,
  plain: Layer,
): ClosableClientProvider {
  let client: LfsClient | undefined;
  let isUsed = false;
  let problem: string | undefined;

  /** Notes how asking the server went. */
  const watch = async <T>(asking: Promise<T>): Promise<T> => {
    isUsed = true;
    try {
      const answer = await asking;
      problem = undefined;
      return answer;
    } catch (error) {
      if (!(error instanceof LfsError) || error.kind !== 'aborted') problem = (error as Error).message;
      throw error;
    }
  };

  const create = (): LfsClient => {
    const inner = createLfsClient({ ...options, lfsConfig: (signal) => lfsConfigOf(plain, signal) });
    return {
      get url() {
        return inner.url;
      },
      locate: (objects, request) => watch(inner.locate(objects, request)),
      forget: (oid) => inner.forget(oid),
      download: (object, action, range, request) => inner.download(object, action, range, request),
      upload: (sources, observer, request) => watch(inner.upload(sources, observer, request)),
      present: (objects, request) => watch(inner.present(objects, request)),
      locks: inner.locks,
      close: () => inner.close(),
    };
  };

  return {
    async client() {
      client ??= create();
      return client;
    },
    get url() {
      return isUsed ? client?.url : undefined;
    },
    get problem() {
      return problem;
    },
    close: async () => client?.close(),
  };
}

async function lfsConfigOf(plain: Layer, signal: AbortSignal): Promise<Buffer | undefined> {
  const entry = await plain.resolve('.lfsconfig', { signal });
  if (entry === undefined || (entry.mode & S_IFMT) !== S_IFREG) return undefined;
  const fd = await plain.open(entry, { signal });
  try {
    // What is too large is none, however large it is.
    return readStart(fd, Buffer.alloc(LFSCONFIG_MAX_BYTES + 1));
  } finally {
    closeSync(fd);
  }
}
