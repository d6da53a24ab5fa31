// Files and folders as bytes: Mega's raw trees, raw blobs, and files as text.
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { RequestError, sendData } from '../envelope.ts';
import { TEXT_BLOB_BYTES_MAX } from '../limits.ts';
import { parsePath, queryOf } from '../query.ts';
import type { RepositoryView } from '../repository-view.ts';
import { blobMissing, sendBlob } from '../send-blob.ts';
import { GitError } from '../../git/git-error.ts';
import { kindOfMode } from '../../git/raw-tree.ts';

/** GET /api/v1/file/tree, GET and HEAD /api/v1/file/blob/{oid}, GET /api/v1/blob. */
export function registerFileRoutes(app: FastifyInstance, view: RepositoryView): void {
  // An empty body for whatever is no tree, and for an `oid` that is not the tree's id: so it is with Mega. Unlike
  // there, `refs` pins the commit.
  app.get('/api/v1/file/tree', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const entry = await view.entryAt(root.tree, path);
    const expected = query['oid']?.toLowerCase() ?? '';
    const isMeant =
      entry !== undefined &&
      kindOfMode(entry.mode) === 'directory' &&
      (expected === '' || expected === entry.id);
    const tree = isMeant ? await view.tree(entry.id) : undefined;
    return reply
      .headers({ 'content-type': 'application/octet-stream', 'content-disposition': 'inline; filename=""' })
      .send(tree?.payload ?? Buffer.alloc(0));
  });

  app.route<{ Params: { oid: string } }>({
    method: ['GET', 'HEAD'],
    url: '/api/v1/file/blob/:oid',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const { oid } = request.params;
      if (oid === '') {
        reply.callNotFound();
        return reply;
      }
      if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/iu.test(oid))
        throw new RequestError(500, `not an object id: ${oid}`);
      // 64 digits name nothing: the repository has SHA-1 ids.
      const id = oid.length === 40 ? oid.toLowerCase() : undefined;
      const [size] = id === undefined ? [] : await view.objects.blobSizes([id]);
      if (id === undefined || size === undefined) throw blobMissing(oid);
      return sendBlob(request, reply, view.objects, { id, size });
    },
  });

  // `null` for whatever is no file, the root included. Where Mega breaks the connection, for content that is not UTF-8,
  // this says so: replaced characters would be other content under the same name.
  app.get('/api/v1/blob', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const entry = await view.entryAt(root.tree, path);
    const kind = entry === undefined ? undefined : kindOfMode(entry.mode);
    if (entry === undefined || kind === 'directory' || kind === 'submodule') return sendData(reply, null);
    const hint = `get its bytes from /api/v1/file/blob/${entry.id}`;
    const content = await view.objects.read(entry.id, 'blob', TEXT_BLOB_BYTES_MAX).catch((error: unknown) => {
      if (error instanceof GitError && error.kind === 'too-large') {
        throw new RequestError(413, `the file is too large to be sent as text; ${hint}`);
      }
      throw error;
    });
    if (content === undefined) return sendData(reply, null);
    if (!isUtf8(content)) throw new RequestError(422, `the file is not UTF-8 text; ${hint}`);
    return sendData(reply, content.toString('utf8'));
  });
}
