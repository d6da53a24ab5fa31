// Trees with the sizes of their blobs, many in one answer: the extension `tree-batch`.
import { MalformedTreeError } from '../../git/raw-tree.ts';
import { countBlobs, unpackSizes } from '../../git/sized-tree.ts';
import type { SizedTree } from '../../git/sized-tree.ts';
import { hashObject, isObjectId } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { apiPath } from './api-path.ts';
import { badAnswer } from './attempt-error.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { isRouteMissing } from './fetch-sizes.ts';
import type { MegaHttp } from './mega-http.ts';

/** No header is longer: an id, a word, two numbers. */
const HEADER_MAX_BYTES = 80;
/** Bytes of one record; no tree is larger. */
const RECORD_MAX_BYTES = 512 * 1024 * 1024;
const LINE_FEED = 0x0a;

/**
 * Asks for trees by their ids; `take` gets those that the server has, verified, each as it comes. What it does not have
 * is left out. Also when the server turns out not to serve the route at all.
 */
export async function fetchTreeBatch(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  ids: readonly ObjectId[],
  take: (id: ObjectId, tree: SizedTree) => void,
  request: UpstreamRequest | undefined,
): Promise<void> {
  const open = new Set(ids);
  let before = open.size;
  try {
    await http.stream(
      {
        request: () => ({ method: 'POST', path: apiPath('/object/trees'), json: { oids: [...open] } }),
        async handle({ body }) {
          await readTreeBatch(body, (id, tree) => {
            if (!open.delete(id)) throw badAnswer(`the batch has ${id}, which was not asked for`);
            if (tree !== undefined) take(id, tree);
          });
          if (open.size > 0) throw badAnswer(`the batch lacks ${open.size} of the trees asked for`);
        },
        progressed() {
          const hasProgress = open.size < before;
          before = open.size;
          return hasProgress;
        },
      },
      request,
    );
  } catch (error) {
    if (!isRouteMissing(error)) throw error;
    capabilities.withdraw('tree-batch');
  }
}

/** The tree of a record. Throws an AttemptError when it is not what the id names. */
function verify(id: ObjectId, payload: Buffer, packed: Buffer): SizedTree {
  if (hashObject('tree', payload) !== id) throw badAnswer(`its bytes do not hash to ${id}`, 'corrupt');
  try {
    if (unpackSizes(packed, countBlobs(payload)) === undefined) throw badAnswer('its sizes are malformed');
  } catch (error) {
    // A tree that cannot be parsed is one all the same; it has no sizes.
    if (!(error instanceof MalformedTreeError)) throw error;
    return { payload, sizes: undefined };
  }
  return { payload, sizes: packed };
}

/**
 * Reads records `<oid> tree <payload bytes> <sizes bytes>\n<payload><sizes>\n` and `<oid> missing\n` while they stream.
 * Throws an AttemptError when the framing is wrong, a tree does not hash to its id, or the body ends inside a record.
 */
async function readTreeBatch(
  body: AsyncIterable<Uint8Array>,
  take: (id: ObjectId, tree: SizedTree | undefined) => void,
): Promise<void> {
  let header = '';
  let record: { readonly id: ObjectId; readonly payloadBytes: number; readonly bytes: Buffer } | undefined;
  let filled = 0;

  function readHeader(line: string): void {
    const [id, word, payloadBytes = '', sizesBytes = '', ...more] = line.split(' ');
    if (!isObjectId(id) || more.length > 0) throw badAnswer('a header of the batch is malformed');
    if (word === 'missing' && payloadBytes === '') {
      take(id, undefined);
      return;
    }
    const length = Number(payloadBytes) + Number(sizesBytes) + 1;
    const isSound = word === 'tree' && /^\d{1,10}$/.test(payloadBytes) && /^\d{1,10}$/.test(sizesBytes);
    if (!isSound || length > RECORD_MAX_BYTES) throw badAnswer('a header of the batch is malformed');
    // A buffer of its own: what is kept must not keep the rest of the answer alive.
    record = { id, payloadBytes: Number(payloadBytes), bytes: Buffer.allocUnsafeSlow(length) };
    filled = 0;
  }

  for await (const chunk of body) {
    for (let at = 0; at < chunk.byteLength;) {
      if (record !== undefined) {
        const { id, bytes, payloadBytes }: NonNullable<typeof record> = record;
        const end = Math.min(chunk.byteLength, at + bytes.length - filled);
        bytes.set(chunk.subarray(at, end), filled);
        filled += end - at;
        at = end;
        if (filled < bytes.length) break;
        record = undefined;
        if (bytes.at(-1) !== LINE_FEED) throw badAnswer('a tree of the batch is longer than announced');
        take(id, verify(id, bytes.subarray(0, payloadBytes), bytes.subarray(payloadBytes, -1)));
        continue;
      }
      const lineEnd = chunk.indexOf(LINE_FEED, at);
      const end = lineEnd < 0 ? chunk.byteLength : lineEnd;
      header += Buffer.from(chunk.buffer, chunk.byteOffset + at, end - at).toString('latin1');
      if (header.length > HEADER_MAX_BYTES) throw badAnswer('a header of the batch is malformed');
      at = end + 1;
      if (lineEnd < 0) continue;
      const line = header;
      header = '';
      readHeader(line);
    }
  }
  if (record !== undefined || header !== '') throw badAnswer('the batch ends in the middle of a record');
}
