// The Mega server as an upstream: the parts put together.
import type { Upstream } from '../upstream.ts';
import { parseBaseUrl } from './base-url.ts';
import { createCapabilityDiscovery } from './capabilities.ts';
import { fetchBlob } from './fetch-blob.ts';
import { fetchBlobs } from './fetch-blobs.ts';
import { fetchSizes } from './fetch-sizes.ts';
import { fetchSubtree } from './fetch-subtree.ts';
import { fetchTree } from './fetch-tree.ts';
import { fetchTrees } from './fetch-trees.ts';
import { createMegaHttp } from './mega-http.ts';
import type { MegaCounters, MegaHttpOptions } from './mega-http.ts';
import { resolveSnapshot } from './resolve.ts';

/** How to talk to a Mega server. */
export type MegaUpstreamOptions = MegaHttpOptions;

/** An upstream that counts what it moves. */
export interface MegaUpstream extends Upstream {
  /** Live numbers since the start. */
  readonly counters: MegaCounters;
}

/**
 * The Mega server at `baseUrl`. Nothing is asked before the first call. Throws UpstreamError (`refused`) when the URL
 * is none.
 */
export function createMegaUpstream(options: MegaUpstreamOptions): MegaUpstream {
  const http = createMegaHttp(options);
  const base = parseBaseUrl(options.baseUrl);
  const capabilities = createCapabilityDiscovery(http);
  return {
    url: http.url,
    counters: http.counters,
    resolve: (path, request) => resolveSnapshot(http, capabilities, path, request),
    fetchTree: (id, location, request) => fetchTree(http, capabilities, id, location, request),
    fetchTrees: (wanted, take, request) => fetchTrees(http, capabilities, wanted, take, request),
    fetchSizes: (ids, request) => fetchSizes(http, capabilities, ids, request),
    batchesSizes: () => capabilities.has('blob-sizes'),
    fetchBlob: (id, sink, request) => fetchBlob(http, capabilities, id, sink, request),
    fetchBlobs: (ids, sinkOf, done, request) => fetchBlobs(http, capabilities, ids, sinkOf, done, request),
    fetchSubtree: (path, directory, request = {}) => fetchSubtree(http, base, path, directory, request),
    batchesBlobs: () => capabilities.has('blob-batch'),
    close: () => http.close(),
  };
}
