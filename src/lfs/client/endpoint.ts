// Where the LFS server may be: places in the order in which they are tried.
import { percentEncodeBytes } from '../../util/percent-encode.ts';
import { withoutTrailingSlashes } from '../../util/slashes.ts';

/** A place where an LFS server may be. */
export interface Place {
  /** Without credentials, query and trailing slash. */
  readonly url: URL;
  /** Who names it. `usual`: nobody, it is one of the places where servers have it. */
  readonly source: 'lfs_url' | '.lfsconfig' | 'usual';
}

/** What is known of the server. */
export interface PlaceHints {
  readonly baseUrl: URL;
  /** `lfs_url` of the configuration. */
  readonly lfsUrl: URL | undefined;
  /** `lfs.url` of the repository's .lfsconfig. */
  readonly lfsConfigUrl: URL | undefined;
  /** Path of the mount in the monorepo, with a leading slash. UTF-8 text. */
  readonly path: string;
  /** What Git's configuration makes of a URL. */
  readonly rewrite: (url: string) => string;
}

/** A URL below another one; without its credentials and query. */
export function urlBelow(base: URL, path: string): URL {
  const url = new URL(base.origin);
  url.pathname = withoutTrailingSlashes(base.pathname) + path;
  return url;
}

/** Mega serves LFS below any path, and has served it at the root; others have it below the repository. */
function usualPlaces(base: URL, path: string): URL[] {
  const encode = (name: string): string => percentEncodeBytes(Buffer.from(name, 'utf8').toString('latin1'));
  const repository = path
    .split('/')
    .filter((name) => name !== '')
    .map(encode)
    .join('/');
  return [
    ...(repository === '' ? [] : [urlBelow(base, `/${repository}.git/info/lfs`)]),
    urlBelow(base, '/info/lfs'),
    urlBelow(base, '/api/v1/lfs'),
    urlBelow(base, ''),
  ];
}

/** The places, best first, each once. */
export function placesOf(hints: PlaceHints): readonly Place[] {
  const places = new Map<string, Place>();
  const add = (url: URL, source: Place['source']): void => {
    const rewritten = hints.rewrite(url.href);
    // What is no HTTP (ssh) has no batch API that could be asked.
    const used = /^https?:\/\//iu.test(rewritten) && URL.canParse(rewritten) ? new URL(rewritten) : url;
    const clean = urlBelow(used, '');
    if (!places.has(clean.href)) places.set(clean.href, { url: clean, source });
  };
  const named = hints.lfsUrl ?? hints.lfsConfigUrl;
  if (named !== undefined) add(named, hints.lfsUrl === undefined ? '.lfsconfig' : 'lfs_url');
  // A URL that leads nowhere: old configurations name places that Mega has given up.
  const isBase = named === undefined || named.origin === hints.baseUrl.origin;
  const root = isBase ? hints.baseUrl : new URL(named.origin);
  for (const url of usualPlaces(root, hints.path)) add(url, 'usual');
  return [...places.values()];
}
