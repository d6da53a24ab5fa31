// The places where the LFS routes are: below any repository's path, as with Mega, and at the root for older clients.
import type { FastifyRequest } from 'fastify';

/** What comes before `/objects` and `/locks`; `/<any path>/info/lfs` is rewritten to the first. */
export const LFS_PREFIXES: readonly string[] = ['/info/lfs', '/api/v1/lfs', ''];

const BELOW_A_PATH = /^[^?]*?\/info\/lfs(?=\/(?:objects\/|locks(?:[/?]|$)))/u;

/** The URL with `/<any path>/info/lfs` as `/info/lfs` where it is one of the LFS API, else as it is. */
export function withoutRepositoryPath(url: string): string {
  return url.replace(BELOW_A_PATH, '/info/lfs');
}

/**
 * The base for links in an answer: scheme, host and the prefix that the client used, so that it also fits a client that
 * comes through a proxy or a tunnel; with `publicUrl` instead of scheme and host, where one is configured.
 */
export function lfsBaseOf(request: FastifyRequest, publicUrl: string | undefined): string {
  const url = request.originalUrl;
  const prefix = BELOW_A_PATH.exec(url)?.[0] ?? (url.startsWith('/api/v1/lfs/') ? '/api/v1/lfs' : '');
  return `${publicUrl?.replace(/\/+$/u, '') ?? `http://${hostOf(request)}`}${prefix}`;
}

function hostOf(request: FastifyRequest): string {
  const { host } = request.headers;
  if (host !== undefined && /^[\w.:[\]-]+$/u.test(host)) return host;
  const { localAddress = '127.0.0.1', localPort = 80 } = request.raw.socket;
  return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`;
}
