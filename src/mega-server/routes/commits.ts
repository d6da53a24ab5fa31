// Which commits last changed what.
import type { FastifyInstance } from 'fastify';
import { contentTypeOf, sortedForListing } from './tree.ts';
import { RequestError, sendData, sendJson, shownName } from '../envelope.ts';
import { parsePath, queryOf } from '../query.ts';
import type { RepositoryView } from '../repository-view.ts';

/** GET /api/v1/tree/commit-info and /api/v1/latest-commit. */
export function registerCommitRoutes(app: FastifyInstance, view: RepositoryView): void {
  // Unlike Mega, which knows commits of plain files and folders only, this answers for all entries, from the history
  // of the path. An entry whose commit is not found in time has empty texts, as Mega's unknown ones.
  app.get('/api/v1/tree/commit-info', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const folder = await view.treeAt(root.tree, path);
    if (folder === undefined) return sendData(reply, []);
    const commits = await view.lastCommitsIn(root, path, folder);
    const items: unknown[] = [];
    for (const entry of sortedForListing(folder.entries)) {
      const id = commits.get(entry.name);
      const commit = id === undefined ? undefined : await view.commit(id);
      items.push({
        commit_id: id ?? '',
        name: shownName(entry.name),
        content_type: contentTypeOf(entry),
        commit_message: commit?.subject ?? '',
        date: commit === undefined ? '' : String(commit.time),
      });
    }
    return sendData(reply, items);
  });

  app.get('/api/v1/latest-commit', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    if ((await view.entryAt(root.tree, path)) === undefined) throw new RequestError(404, 'File not found');
    const id = path.length === 0 ? root.commit : await view.lastCommitOf(root, path);
    if (id === undefined) throw new RequestError(503, 'searching the history of this path takes too long');
    const commit = await view.commit(id);
    // Not in an envelope: so it is with Mega.
    return sendJson(reply, {
      oid: id,
      date: String(commit.time),
      short_message: commit.subject,
      author: commit.author,
      committer: commit.committer,
      status: 'success',
    });
  });
}
