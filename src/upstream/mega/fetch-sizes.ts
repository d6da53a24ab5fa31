// Sizes of many blobs: in batches where the server can, else one HEAD each.
import { EMPTY_BLOB_ID } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { apiPath } from './api-path.ts';
import { badAnswer } from './attempt-error.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { eachRequest } from './each-request.ts';
import { asRecord, envelopeData } from './envelope.ts';
import { fetchBlob, headBlobSize } from './fetch-blob.ts';
import type { MegaHttp } from './mega-http.ts';

/** Batches under way at once. */
const PARALLEL_BATCHES = 4;

/** Ids in one batch, whatever the server allows: a batch has to end within the deadline of one request. */
const MAX_BATCH = 10_000;

/** The server has no such route. */
export function isRouteMissing(error: unknown): boolean {
  return error instanceof UpstreamError && (error.status === 404 || error.status === 405);
}

/** The server is gone, or the caller: what would follow fails as well. */
export function concernsAll(error: unknown): boolean {
  return error instanceof UpstreamError && ['unreachable', 'timeout', 'aborted'].includes(error.kind);
}

/** Cuts a list into pieces of at most `length`. */
export function chunksOf<T>(items: readonly T[], length: number): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < items.length; at += length) chunks.push(items.slice(at, at + length));
  return chunks;
}

/** `fetchSizes` of the contract. */
export async function fetchSizes(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  ids: readonly ObjectId[],
  request: UpstreamRequest | undefined,
): Promise<Map<ObjectId, number>> {
  const sizes = new Map<ObjectId, number>();
  const asked = new Set(ids);
  if (asked.delete(EMPTY_BLOB_ID)) sizes.set(EMPTY_BLOB_ID, 0);
  if (asked.size === 0) return sizes;
  const { features, maxSizes } = await capabilities.get(request);
  if (features.has('blob-sizes')) {
    try {
      await eachRequest(
        chunksOf([...asked], Math.min(maxSizes, MAX_BATCH)),
        PARALLEL_BATCHES,
        request,
        async (oids, linked) => {
          const found = await fetchBatch(http, oids, linked);
          for (const [index, size] of found.entries())
            if (size !== null) sizes.set(oids[index] as ObjectId, size);
        },
      );
      return sizes;
    } catch (error) {
      if (!isRouteMissing(error)) throw error;
      capabilities.withdraw('blob-sizes');
    }
  }
  await eachRequest([...asked], http.concurrency, request, async (id, linked) => {
    const size = await sizeOf(http, capabilities, id, linked);
    if (size !== undefined) sizes.set(id, size);
  });
  return sizes;
}

function fetchBatch(
  http: MegaHttp,
  oids: readonly ObjectId[],
  request: UpstreamRequest,
): Promise<readonly (number | null)[]> {
  return http.read(
    { method: 'POST', path: apiPath('/object/sizes'), json: { oids } },
    (reply) => {
      const sizes = asRecord(envelopeData(reply))?.['sizes'];
      if (!Array.isArray(sizes) || sizes.length !== oids.length)
        throw badAnswer('it does not have one size for each id');
      return sizes.map((size: unknown) => {
        if (size === null) return null;
        if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
          throw badAnswer('a size is no number');
        return size;
      });
    },
    request,
  );
}

/** Undefined: the server does not have the blob. */
async function sizeOf(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  id: ObjectId,
  request: UpstreamRequest,
): Promise<number | undefined> {
  try {
    const announced = await headBlobSize(http, id, request);
    if (announced !== undefined) return announced;
    let counted = 0;
    const count = {
      begin: () => void (counted = 0),
      write: (chunk: Uint8Array) => void (counted += chunk.byteLength),
    };
    await fetchBlob(http, capabilities, id, count, request);
    return counted;
  } catch (error) {
    if (error instanceof UpstreamError && error.kind === 'not-found') return undefined;
    throw error;
  }
}
