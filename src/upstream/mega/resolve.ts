// From a path to its tree at one commit.
import { treeEntries } from './tree-entries.ts';
import { EMPTY_TREE_ID, hashObject, isObjectId } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Snapshot, UpstreamRequest } from '../upstream.ts';
import { apiPath, displayPath, normalizeRepositoryPath } from './api-path.ts';
import { badAnswer } from './attempt-error.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { asEnvelope, asRecord, parseHashedEntries, parseJson, parseLatestCommit } from './envelope.ts';
import type { HashedEntry } from './envelope.ts';
import type { MegaHttp } from './mega-http.ts';

type ResolveRequest = UpstreamRequest & { readonly commit?: ObjectId };

/** Rounds of looking at a path between two equal heads, before the server counts as too busy. */
const MAX_ROUNDS = 6;

const notAFolder = (http: MegaHttp, path: string, detail = ''): UpstreamError =>
  new UpstreamError(
    'not-found',
    `'${displayPath(path)}' is no folder of the repository at ${http.url}${detail === '' ? '' : `: ${detail}`}`,
  );

/** `resolve` of the contract. */
export async function resolveSnapshot(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  requestedPath: string,
  request: ResolveRequest | undefined,
): Promise<Snapshot> {
  const path = normalizeRepositoryPath(requestedPath);
  if (await capabilities.has('commit-pinning', request)) {
    const snapshot = await resolveAtOnce(http, path, request);
    if (snapshot !== undefined) return snapshot;
    capabilities.withdraw('commit-pinning');
  }
  return request?.commit === undefined
    ? resolveHead(http, path, request)
    : resolvePinned(http, path, request);
}

/** One request to a server that can pin. Undefined when there is no such route after all. */
function resolveAtOnce(
  http: MegaHttp,
  path: string,
  request: ResolveRequest | undefined,
): Promise<Snapshot | undefined> {
  const asked = {
    method: 'GET',
    path: apiPath('/object/resolve', { path, refs: request?.commit ?? '' }),
  } as const;
  return http.read(
    asked,
    (reply) => {
      if (reply.status === 404 && reply.body[0] !== 0x7b) return undefined;
      const envelope = asEnvelope(parseJson(reply));
      if (envelope?.ok === false) throw notAFolder(http, path, envelope.message);
      const { commit, time, tree } = asRecord(envelope?.data) ?? {};
      if (!isObjectId(commit) || !isObjectId(tree) || !Number.isSafeInteger(Number(time))) {
        throw badAnswer('it lacks the commit, its time or the tree');
      }
      return { commit, time: Number(time), tree, path };
    },
    request,
    [400, 404],
  );
}

function latestCommit(
  http: MegaHttp,
  request: ResolveRequest | undefined,
  refs?: ObjectId,
): Promise<{ oid: ObjectId; time: number }> {
  return http.read(
    { method: 'GET', path: apiPath('/latest-commit', { path: '/', refs }) },
    parseLatestCommit,
    request,
  );
}

function listHashes(
  http: MegaHttp,
  route: '/tree/dir-hash' | '/tree/content-hash',
  path: string,
  request: ResolveRequest | undefined,
): Promise<HashedEntry[]> {
  const asked = { method: 'GET', path: apiPath(route, { path, refs: request?.commit }) } as const;
  return http.read(asked, parseHashedEntries, request);
}

interface Look {
  /** The tree as the server gave it; empty where there is none. */
  readonly payload: Buffer;
  /** Id of the folder in its parent; undefined where it is in none. */
  readonly listed: ObjectId | undefined;
}

/** What the head shows at a path, from both sides. */
async function lookAtHead(http: MegaHttp, path: string, request: ResolveRequest | undefined): Promise<Look> {
  const asked = { method: 'GET', path: apiPath('/file/tree', { path }) } as const;
  const treeRead = http.read(
    asked,
    ({ body }) => {
      if (treeEntries(body) === undefined) throw badAnswer('it is no tree');
      return { payload: body };
    },
    request,
  );
  const listed =
    path === '/'
      ? undefined
      : listHashes(http, '/tree/dir-hash', path, withoutCommit(request)).then(([entry]) => entry?.oid);
  const [tree, oid] = await Promise.all([treeRead, listed]);
  return { ...tree, listed: oid };
}

function withoutCommit(request: UpstreamRequest | undefined): UpstreamRequest | undefined {
  if (request === undefined) return undefined;
  return {
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(request.priority === undefined ? {} : { priority: request.priority }),
  };
}

/**
 * The path at the head of a plain Mega, which has no way to ask for commit and tree at once: they belong together
 * when the head was the same before and after.
 */
async function resolveHead(
  http: MegaHttp,
  path: string,
  request: ResolveRequest | undefined,
): Promise<Snapshot> {
  let before = await latestCommit(http, request);
  let unconfirmed: ObjectId | undefined;
  let reason = 'its head moves faster than it can be read';
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const look = await lookAtHead(http, path, request);
    const after = await latestCommit(http, request);
    const snapshot = (tree: ObjectId): Snapshot => ({ commit: after.oid, time: after.time, tree, path });
    const isSteady = before.oid === after.oid;
    before = after;
    if (!isSteady) continue;
    if (look.payload.length > 0) {
      const tree = hashObject('tree', look.payload);
      // An imported repository never agrees with the placeholder that its parent lists; twice the same is the truth.
      if (path === '/' || tree === look.listed || tree === unconfirmed) return snapshot(tree);
      unconfirmed = tree;
    } else {
      if (path === '/' || look.listed === EMPTY_TREE_ID) return snapshot(EMPTY_TREE_ID);
      if (look.listed === undefined) throw notAFolder(http, path);
      reason = `it lists '${displayPath(path)}' but does not give its content`;
    }
  }
  throw new UpstreamError('server', `the server at ${http.url} shows no steady state: ${reason}; try again`);
}

/** A path at a given commit of a plain Mega, as far as that can tell. */
async function resolvePinned(http: MegaHttp, path: string, request: ResolveRequest): Promise<Snapshot> {
  const commit = request.commit as ObjectId;
  const head = await latestCommit(http, request);
  if (head.oid === commit) {
    const snapshot = await resolveHead(http, path, withoutCommit(request));
    if (snapshot.commit === commit) return snapshot;
  }
  const [look, time] = await Promise.all([
    lookAtHead(http, path, withoutCommit(request)),
    timeOf(http, commit, head.time, request),
  ]);
  if (path === '/') {
    const text = `${http.url} does not tell the tree of its root at commit ${commit}`;
    throw new UpstreamError('moved', `${text}; mount a path below it, or mount '/' without a commit`);
  }
  if (
    look.listed !== undefined &&
    look.payload.length > 0 &&
    hashObject('tree', look.payload) !== look.listed
  ) {
    const text = `'${displayPath(path)}' is an imported repository, of which ${http.url} serves the newest state only`;
    throw new UpstreamError('moved', `${text}; mount it again without a commit`);
  }
  const [entry] = await listHashes(http, '/tree/dir-hash', path, request);
  if (entry === undefined) throw notAFolder(http, path, `not at commit ${commit}`);
  return { commit, time, tree: entry.oid, path };
}

/** Committer time of a commit; where the server does not tell, that of its head, which is not earlier. */
async function timeOf(
  http: MegaHttp,
  commit: ObjectId,
  headTime: number,
  request: ResolveRequest,
): Promise<number> {
  try {
    const found = await latestCommit(http, request, commit);
    return found.oid === commit ? found.time : headTime;
  } catch (error) {
    if (error instanceof UpstreamError && ['server', 'refused', 'not-found'].includes(error.kind))
      return headTime;
    throw error;
  }
}
