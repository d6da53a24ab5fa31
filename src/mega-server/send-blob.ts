// Sends one blob over HTTP: whole or a range, from memory when small, else streamed from git.
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseByteRange } from './byte-range.ts';
import { RequestError, sendError } from './envelope.ts';
import { SMALL_BLOB_BYTES } from './limits.ts';
import type { GitObjects } from '../git/git-objects.ts';
import type { ObjectId } from '../util/types.ts';

/** The error for a blob that the repository does not have, in Mega's words. */
export function blobMissing(oid: string): RequestError {
  return new RequestError(
    404,
    `ObjStorage not found: [obj_missing_in_db_and_s3] Blob ${oid} not found in both object storage and metadata ` +
      `(likely never written or invalid request)`,
  );
}

/** Answers GET and HEAD for a blob that exists, with Range, If-Range and If-None-Match. */
export async function sendBlob(
  request: FastifyRequest,
  reply: FastifyReply,
  objects: GitObjects,
  { id, size }: { readonly id: ObjectId; readonly size: number },
): Promise<FastifyReply> {
  const etag = `"${id}"`;
  reply.headers({ etag, 'accept-ranges': 'bytes' });
  const known = request.headers['if-none-match'];
  if (known !== undefined && (known.includes(etag) || known.trim() === '*')) return reply.code(304).send();
  const ifRange = request.headers['if-range'];
  const mayBePart = request.method === 'GET' && (ifRange === undefined || ifRange === etag);
  const range = mayBePart ? parseByteRange(request.headers.range, size) : 'whole';
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${size}`);
    return sendError(reply, 416, `range not satisfiable: the blob has ${size} bytes`);
  }
  const first = range === 'whole' ? 0 : range.first;
  const length = range === 'whole' ? size : range.last - range.first + 1;
  reply.headers({
    'content-type': 'application/octet-stream',
    'content-disposition': `inline; filename="${id}"`,
    'content-length': length,
  });
  if (request.method === 'HEAD') return reply.send();
  if (range !== 'whole') reply.code(206).header('content-range', `bytes ${first}-${range.last}/${size}`);
  if (size <= SMALL_BLOB_BYTES) {
    const content = await objects.read(id, 'blob', SMALL_BLOB_BYTES);
    if (content === undefined) {
      // Pruned since its size was asked for.
      objects.forgetSize(id);
      throw blobMissing(id);
    }
    return reply.send(content.subarray(first, first + length));
  }
  return sendStream(reply, await objects.stream(id, { start: first, length }));
}

/** Sends a stream, and destroys it when the client goes away at whatever moment. */
export function sendStream(reply: FastifyReply, stream: Readable): FastifyReply {
  if (reply.raw.destroyed) stream.destroy();
  else reply.raw.once('close', () => stream.destroy());
  return reply.send(stream);
}
