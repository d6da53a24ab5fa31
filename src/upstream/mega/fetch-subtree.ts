// A folder as one pack, over the Git interface that Mega has beside its REST API.
//
// Every folder can be cloned from `<base>/<path>.git`. The server takes `.git` out of a path wherever it stands, so that
// folders with that in their path have no such URL. Asking for the refs of a folder for the first time makes the server
// keep a commit for it.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchPack, type PackProgress } from '../../git/fetch-pack.ts';
import { GitError } from '../../git/git-error.ts';
import { percentEncodeBytes } from '../../util/percent-encode.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { displayPath } from './api-path.ts';
import type { BaseUrl } from './base-url.ts';
import type { MegaHttp, MegaReply } from './mega-http.ts';

const ADVERTISEMENT = 'application/x-git-upload-pack-advertisement';
const NO_OBJECT = '0'.repeat(40);

/** What a remote says of itself. */
interface Advertisement {
  readonly head: string | undefined;
  readonly canBeShallow: boolean;
}

/** Fetches the folder at a path of the repository (latin1) into a new bare repository: as `Upstream.fetchSubtree`. */
export async function fetchSubtree(
  http: MegaHttp,
  base: BaseUrl,
  path: string,
  directory: string,
  request: UpstreamRequest & { onProgress?: (progress: PackProgress) => void },
): Promise<void> {
  const shown = displayPath(path);
  if (path.includes('.git') || Buffer.from(shown).toString('latin1') !== path) {
    throw new UpstreamError('refused', `the folder ${shown} cannot be named in a URL for Git`);
  }
  const route = `${path.split('/').map(percentEncodeBytes).join('/').replace(/\/$/u, '')}${path === '/' ? '/' : ''}.git`;
  const { head, canBeShallow } = await http.read(
    { method: 'GET', path: `${route}/info/refs?service=git-upload-pack` },
    parseAdvertisement,
    request,
  );
  if (head === undefined) {
    throw new UpstreamError('not-found', `the server at ${http.url} has no branch for ${shown}`);
  }
  let counted = 0;
  const count = (bytes: number): void => {
    http.countReceived(Math.max(0, bytes - counted));
    counted = Math.max(counted, bytes);
  };
  try {
    await fetchPack({
      url: base.url + route,
      ref: 'HEAD',
      directory,
      shallow: canBeShallow,
      authorization: base.authorization,
      signal: request.signal,
      onProgress: (progress) => {
        count(progress.bytes);
        request.onProgress?.(progress);
      },
    });
    // What git tells is rounded, and nothing at all of a small one.
    count(await packBytes(directory));
  } catch (error) {
    if (request.signal?.aborted === true) {
      throw new UpstreamError('aborted', 'the caller gave up', { cause: error });
    }
    if (error instanceof GitError) throw new UpstreamError('server', error.message, { cause: error });
    throw error;
  }
}

/** Size of the packs in a repository. */
async function packBytes(directory: string): Promise<number> {
  const folder = join(directory, 'objects', 'pack');
  let bytes = 0;
  for (const name of await readdir(folder)) {
    if (name.endsWith('.pack')) bytes += (await stat(join(folder, name))).size;
  }
  return bytes;
}

/** Version 0 of the protocol: lines with their length in front, the first of which has the capabilities. */
function parseAdvertisement({ headers, body }: MegaReply): Advertisement {
  const type = headers['content-type'];
  if (type !== ADVERTISEMENT) {
    throw new UpstreamError('refused', 'the server does not speak Git over HTTP there');
  }
  const match = /([0-9a-f]{40}) HEAD\0([^\n]*)/u.exec(body.toString('latin1'));
  const [, head = NO_OBJECT, capabilities = ''] = match ?? [];
  return {
    head: head === NO_OBJECT ? undefined : head,
    canBeShallow: capabilities.split(' ').includes('shallow'),
  };
}
