// Sends a large file over HTTP: whole or a range, with the memory of one piece.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LfsOid } from '../../lfs/lfs-object.ts';
import { parseByteRange } from '../byte-range.ts';
import { sendStream } from '../send-blob.ts';
import { LfsRequestError } from './lfs-answer.ts';
import type { LfsObjectStore, OpenObject } from './object-store.ts';

/** Bytes that are read at once. */
const PIECE_BYTES = 512 * 1024;

/** Answers GET and HEAD for an object, with Range and If-Range. Rejects with LfsRequestError 404 and 416. */
export async function sendObject(
  request: FastifyRequest,
  reply: FastifyReply,
  store: LfsObjectStore,
  oid: LfsOid,
): Promise<FastifyReply> {
  const found = await store.open(oid);
  if (found === undefined) throw new LfsRequestError(404, `LFS object not found: ${oid}`);
  let isHandedOver = false;
  try {
    const stream = prepare(request, reply, oid, found);
    if (stream === undefined) return await reply.send();
    isHandedOver = true;
    return sendStream(reply, found.file.createReadStream({ ...stream, highWaterMark: PIECE_BYTES }));
  } finally {
    // A stream closes its file by itself.
    if (!isHandedOver) await found.file.close();
  }
}

/** Sets status and headers; what is to be sent then, or undefined for nothing. */
function prepare(
  request: FastifyRequest,
  reply: FastifyReply,
  oid: LfsOid,
  { size }: OpenObject,
): { start: number; end: number } | undefined {
  const etag = `"${oid}"`;
  const ifRange = request.headers['if-range'];
  const mayBePart = request.method === 'GET' && (ifRange === undefined || ifRange === etag);
  const range = mayBePart ? parseByteRange(request.headers.range, size) : 'whole';
  reply.headers({ etag, 'accept-ranges': 'bytes' });
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${size}`);
    throw new LfsRequestError(416, `range not satisfiable: the object has ${size} bytes`);
  }
  const { first, last } = range === 'whole' ? { first: 0, last: size - 1 } : range;
  reply.headers({ 'content-type': 'application/octet-stream', 'content-length': last - first + 1 });
  if (request.method === 'HEAD' || size === 0) return undefined;
  if (range !== 'whole') reply.code(206).header('content-range', `bytes ${first}-${last}/${size}`);
  return { start: first, end: last };
}
