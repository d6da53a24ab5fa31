// One tree: by id where the server can, by path where it cannot.
import type { SizedTree } from '../../git/sized-tree.ts';
import { fetchTreeBatch } from './tree-batch.ts';
import { treeEntries } from './tree-entries.ts';
import { linkAbort } from '../../util/abort-link.ts';
import { EMPTY_TREE_ID, hashObject } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamErrorKind } from '../upstream-error.ts';
import type { TreeLocation, UpstreamRequest } from '../upstream.ts';
import { apiPath, displayPath, joinRepositoryPath } from './api-path.ts';
import { badAnswer } from './attempt-error.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { parseHashedEntries } from './envelope.ts';
import type { HashedEntry } from './envelope.ts';
import type { MegaHttp } from './mega-http.ts';
import { searchModes } from './mode-search.ts';

const isKind = (error: unknown, ...kinds: readonly UpstreamErrorKind[]): error is UpstreamError =>
  error instanceof UpstreamError && kinds.includes(error.kind);

/** `fetchTree` of the contract. */
export async function fetchTree(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  id: ObjectId,
  location: TreeLocation,
  request: UpstreamRequest | undefined,
): Promise<SizedTree> {
  if (id === EMPTY_TREE_ID) return { payload: Buffer.alloc(0), sizes: undefined };
  const { features } = await capabilities.get(request);
  if (features.has('tree-batch')) {
    let tree: SizedTree | undefined;
    await fetchTreeBatch(http, capabilities, [id], (_id, arrived) => void (tree = arrived), request);
    if (tree !== undefined) return tree;
  } else if (features.has('tree-by-id')) {
    const payload = await fetchById(http, id, request);
    if (payload !== undefined) return { payload, sizes: undefined };
  }
  const path = joinRepositoryPath(location.snapshot.path, location.path);
  const payload =
    (await fetchByPath(http, id, path, request)) ??
    (await rebuild(http, id, path, location.snapshot.commit, request));
  return { payload, sizes: undefined };
}

/** Undefined: the server does not have the tree. */
function fetchById(
  http: MegaHttp,
  id: ObjectId,
  request: UpstreamRequest | undefined,
): Promise<Buffer | undefined> {
  return http.read(
    { method: 'GET', path: apiPath(`/object/tree/${id}`) },
    ({ status, body }) => {
      if (status === 404) return undefined;
      if (hashObject('tree', body) !== id) throw badAnswer(`its bytes do not hash to ${id}`, 'corrupt');
      return body;
    },
    request,
    [404],
  );
}

/** Undefined: another tree is at the path by now, or none. */
async function fetchByPath(
  http: MegaHttp,
  id: ObjectId,
  path: string,
  request: UpstreamRequest | undefined,
): Promise<Buffer | undefined> {
  try {
    return await http.read(
      { method: 'GET', path: apiPath('/file/tree', { path, oid: id }) },
      ({ body }) => {
        if (body.length === 0) return undefined;
        if (hashObject('tree', body) !== id) throw badAnswer(`its bytes do not hash to ${id}`, 'corrupt');
        return body;
      },
      request,
    );
  } catch (error) {
    // A server that does not heed `oid` gives the newer tree.
    if (isKind(error, 'corrupt', 'not-found')) return undefined;
    throw error;
  }
}

/** What the head has at the path; empty when that is nothing, or unreadable. It only gives hints. */
async function newerPayload(
  http: MegaHttp,
  path: string,
  request: UpstreamRequest | undefined,
): Promise<Buffer> {
  try {
    return await http.read(
      { method: 'GET', path: apiPath('/file/tree', { path }) },
      ({ body }) => body,
      request,
    );
  } catch (error) {
    if (isKind(error, 'not-found', 'refused', 'server')) return Buffer.alloc(0);
    throw error;
  }
}

/** Names and ids at the commit; empty when the server does not know that commit or path any more. */
async function olderEntries(
  http: MegaHttp,
  path: string,
  refs: ObjectId,
  request: UpstreamRequest | undefined,
): Promise<HashedEntry[]> {
  try {
    const asked = { method: 'GET', path: apiPath('/tree/content-hash', { path, refs }) } as const;
    return await http.read(asked, parseHashedEntries, request);
  } catch (error) {
    if (isKind(error, 'not-found', 'refused', 'server')) return [];
    throw error;
  }
}

/** The head has moved on: a plain Mega then still tells names and ids at the commit, and the id proves the rest. */
async function rebuild(
  http: MegaHttp,
  id: ObjectId,
  path: string,
  commit: ObjectId,
  request: UpstreamRequest | undefined,
): Promise<Buffer> {
  const [entries, newer] = await Promise.all([
    olderEntries(http, path, commit, request),
    newerPayload(http, path, request),
  ]);
  if (hashObject('tree', newer) === id) return newer;
  if (entries.length > 0) {
    const link = linkAbort(request?.signal, http.closing);
    try {
      const found = await searchModes(id, entries, treeEntries(newer) ?? [], link.signal);
      if (found !== undefined) return found;
    } catch (error) {
      if (!link.signal.aborted) throw error;
      throw new UpstreamError('aborted', `the caller gave up while '${displayPath(path)}' was rebuilt`, {
        cause: error,
      });
    } finally {
      link.unlink();
    }
  }
  throw new UpstreamError(
    'moved',
    `the repository at ${http.url} has moved on from commit ${commit}, and the server cannot give the folder ` +
      `'${displayPath(path)}' as it was then; mount the path anew, under another job id or after umount --purge`,
  );
}
