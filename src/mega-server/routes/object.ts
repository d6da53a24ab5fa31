// Beyond Mega: objects by id, many at once, and a path pinned to its commit. Announced by /api/v1/capabilities.
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { blobFrames, framedLength } from '../blob-frames.ts';
import { RequestError, sendData } from '../envelope.ts';
import { BLOB_BATCH_MAX, BLOB_SIZES_MAX, idsBodyBytes, TREE_BATCH_MAX } from '../limits.ts';
import { parsePath, queryOf } from '../query.ts';
import type { RepositoryView } from '../repository-view.ts';
import { sendStream } from '../send-blob.ts';
import { treeFrames } from '../tree-frames.ts';
import { kindOfMode } from '../../git/raw-tree.ts';
import { isObjectId } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';

function idsOf(request: FastifyRequest, max: number): ObjectId[] {
  const oids = (request.body as { oids?: unknown } | null | undefined)?.oids;
  if (!Array.isArray(oids))
    throw new RequestError(422, 'the body must be {"oids": ["<40 hexadecimal digits>", ...]}');
  if (oids.length > max)
    throw new RequestError(413, `${oids.length} ids in one request; at most ${max} are allowed`);
  return oids.map((oid: unknown, index) => {
    // Nothing but an id may reach the input of git.
    if (!isObjectId(oid)) throw new RequestError(422, `oids[${index}] is not an object id`);
    return oid;
  });
}

/** Routes below /api/v1/object. */
export function registerObjectRoutes(app: FastifyInstance, view: RepositoryView): void {
  app.post('/api/v1/object/sizes', { bodyLimit: idsBodyBytes(BLOB_SIZES_MAX) }, async (request, reply) => {
    const sizes = await view.objects.blobSizes(idsOf(request, BLOB_SIZES_MAX));
    return sendData(reply, { sizes: sizes.map((size) => size ?? null) });
  });

  app.post('/api/v1/object/blobs', { bodyLimit: idsBodyBytes(BLOB_BATCH_MAX) }, async (request, reply) => {
    const ids = idsOf(request, BLOB_BATCH_MAX);
    const sizes = await view.objects.blobSizes(ids);
    const wanted = ids.map((id, index) => ({ id, size: sizes[index] }));
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    reply.headers({ 'content-type': 'application/octet-stream', 'content-length': framedLength(wanted) });
    return sendStream(
      reply,
      Readable.from(blobFrames(view.objects, wanted, gone.signal), { objectMode: false }),
    );
  });

  app.post('/api/v1/object/trees', { bodyLimit: idsBodyBytes(TREE_BATCH_MAX) }, (request, reply) => {
    const ids = idsOf(request, TREE_BATCH_MAX);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    reply.header('content-type', 'application/octet-stream');
    return sendStream(reply, Readable.from(treeFrames(view, ids, gone.signal), { objectMode: false }));
  });

  app.get<{ Params: { oid: string } }>('/api/v1/object/tree/:oid', async (request, reply) => {
    const oid = request.params.oid.toLowerCase();
    const tree = isObjectId(oid) ? await view.tree(oid) : undefined;
    if (tree === undefined) throw new RequestError(404, `Not Found error: tree ${oid} not found`);
    return reply
      .headers({
        'content-type': 'application/octet-stream',
        'content-disposition': `inline; filename="${oid}"`,
        etag: `"${oid}"`,
      })
      .send(tree.payload);
  });

  app.get('/api/v1/object/resolve', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const entry = await view.entryAt(root.tree, path);
    if (entry === undefined) throw new RequestError(404, 'Not Found error: path not found');
    if (kindOfMode(entry.mode) !== 'directory') throw new RequestError(400, 'the path is not a folder');
    return sendData(reply, { commit: root.commit, time: root.time, tree: entry.id });
  });
}
