// Many trees: batches where the server can, and single requests for what they leave.
import type { SizedTree } from '../../git/sized-tree.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamRequest, WantedTree } from '../upstream.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { eachRequest } from './each-request.ts';
import { chunksOf, concernsAll } from './fetch-sizes.ts';
import { fetchTree } from './fetch-tree.ts';
import type { MegaHttp } from './mega-http.ts';
import { fetchTreeBatch } from './tree-batch.ts';

/** Batches under way at once. */
const PARALLEL_BATCHES = 2;

/** `fetchTrees` of the contract. */
export async function fetchTrees(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  wanted: readonly WantedTree[],
  take: (id: ObjectId, tree: SizedTree | Error) => void,
  request: UpstreamRequest | undefined,
): Promise<void> {
  const open = new Map(wanted.map((tree) => [tree.id, tree]));
  const { features, maxTrees } = await capabilities.get(request);
  if (features.has('tree-batch')) {
    await eachRequest(
      chunksOf([...open.keys()], maxTrees),
      PARALLEL_BATCHES,
      request,
      async (ids, linked) => {
        const arrived = (id: ObjectId, tree: SizedTree): void => {
          open.delete(id);
          take(id, tree);
        };
        try {
          await fetchTreeBatch(http, capabilities, ids, arrived, linked);
        } catch (error) {
          if (!(error instanceof UpstreamError) || concernsAll(error)) throw error;
          http.log(`${error.message}; fetching what is left tree by tree`);
        }
      },
    );
  }
  await eachRequest([...open.values()], http.concurrency, request, async ({ id, location }, linked) => {
    let tree: SizedTree | Error;
    try {
      tree = await fetchTree(http, capabilities, id, location, linked);
    } catch (error) {
      if (!(error instanceof UpstreamError) || concernsAll(error)) throw error;
      tree = error;
    }
    take(id, tree);
  });
}
