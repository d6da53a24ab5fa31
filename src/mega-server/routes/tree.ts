// Listings of folders as Mega gives them in JSON.
import type { FastifyInstance } from 'fastify';
import { sendData, shownName } from '../envelope.ts';
import { parsePath, queryOf } from '../query.ts';
import type { RepositoryView } from '../repository-view.ts';
import { kindOfMode } from '../../git/raw-tree.ts';
import type { RawTreeEntry } from '../../git/raw-tree.ts';

type ContentType = 'directory' | 'file';

/** Mega knows folders and files; executables, symlinks and submodules are files to it. */
export function contentTypeOf(entry: RawTreeEntry): ContentType {
  return kindOfMode(entry.mode) === 'directory' ? 'directory' : 'file';
}

/** The order of Mega's sorted listings: folders first, then by the bytes of the name. */
export function sortedForListing(entries: readonly RawTreeEntry[]): RawTreeEntry[] {
  const rank = (entry: RawTreeEntry) => (contentTypeOf(entry) === 'directory' ? 0 : 1);
  return entries.toSorted((a, b) => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    if (a.name === b.name) return 0;
    return a.name < b.name ? -1 : 1;
  });
}

function hashItem(entry: RawTreeEntry) {
  return { name: shownName(entry.name), content_type: contentTypeOf(entry), oid: entry.id };
}

function briefItem(folder: readonly string[], entry: RawTreeEntry) {
  return {
    name: shownName(entry.name),
    path: shownName(`/${[...folder, entry.name].join('/')}`),
    content_type: contentTypeOf(entry),
  };
}

/** GET /api/v1/tree and the routes below it, but for the commits. */
export function registerTreeRoutes(app: FastifyInstance, view: RepositoryView): void {
  app.get('/api/v1/tree', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const itemsAt = async (folder: readonly string[]) =>
      ((await view.treeAt(root.tree, folder))?.entries ?? []).map((entry) => briefItem(folder, entry));
    const ancestors: Record<string, unknown> = {};
    for (let depth = 0; depth < path.length; depth++) {
      const folder = path.slice(0, depth);
      const items = await itemsAt(folder);
      ancestors[shownName(`/${folder.join('/')}`)] = { tree_items: items, total_count: items.length };
      // Below a missing folder everything is missing; a made-up deep path costs nothing more.
      if (items.length === 0) break;
    }
    return sendData(reply, { file_tree: ancestors, tree_items: await itemsAt(path) });
  });

  // A missing path, and one of a file, have no entries: that is no error with Mega, and clients count on it.
  app.get('/api/v1/tree/content-hash', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const entries = (await view.treeAt(root.tree, path))?.entries ?? [];
    return sendData(reply, sortedForListing(entries).map(hashItem));
  });

  // The one entry of the parent that is this folder: none for the root, a file, or a missing path.
  app.get('/api/v1/tree/dir-hash', async (request, reply) => {
    const query = queryOf(request.raw.url);
    const path = parsePath(query['path']);
    const root = await view.root(query['refs'] ?? '');
    const entry = path.length === 0 ? undefined : await view.entryAt(root.tree, path);
    const isFolder = entry !== undefined && contentTypeOf(entry) === 'directory';
    return sendData(reply, isFolder ? [hashItem(entry)] : []);
  });

  // Everything of one repository can be cloned from it, existing or not: Mega says so outside of imported repositories.
  app.get('/api/v1/tree/path-can-clone', (request, reply) => {
    parsePath(queryOf(request.raw.url)['path']);
    return sendData(reply, true);
  });
}
