// Attribute files of the folders above a mount: they count for its files as well, as in a checkout of the whole.
import { closeSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Layer, LayerEntry, LayerRequest } from '../../layers/layer.ts';
import { createMonorepoLayer, type TreeCache } from '../../layers/monorepo.ts';
import type { AttributeFiles } from '../../lfs/attributes/attribute-rules.ts';
import type { ObjectSource } from '../../objects/object-source.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import type { Snapshot, Upstream } from '../../upstream/upstream.ts';
import { atomicWrite } from '../../util/atomic-write.ts';
import { isObjectId } from '../../util/git-hash.ts';
import { orAborted } from '../../util/or-aborted.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/** Where they come from. */
export interface AttributesAboveParts {
  /** What the mount shows. */
  readonly snapshot: Snapshot;
  readonly upstream: Pick<Upstream, 'resolve'>;
  readonly objects: ObjectSource;
  readonly trees?: TreeCache;
  /** Remembers the repository's root, so that a later start needs no server; its folder is made when missing. */
  readonly file: string;
  readonly onWarning: (message: string) => void;
}

/** Reads them: of the repository's root, and of each folder on the way to the mount, without that of the mount itself. */
export type ReadAttributesAbove = (signal?: AbortSignal) => Promise<readonly AttributeFiles[]>;

/**
 * Makes the reader; it asks a server when it is called for the first time, and answers from memory once it succeeded.
 * A server that cannot show the repository's root at all has no such files, with a warning. Rejects as a layer does.
 */
export function createAttributesAbove(parts: AttributesAboveParts): ReadAttributesAbove {
  const names = parts.snapshot.path.split('/').filter((name) => name !== '');
  if (names.length === 0) return async () => [];
  let reading: Promise<readonly AttributeFiles[]> | undefined;
  return (signal) => {
    // Those who wait for it share it, so it does not end with one of them.
    reading ??= readAll(parts, names).catch((error: unknown) => {
      reading = undefined;
      throw error;
    });
    return orAborted(reading, signal, () => new UpstreamError('aborted', 'the caller gave up waiting'));
  };
}

async function readAll(
  parts: AttributesAboveParts,
  names: readonly string[],
): Promise<readonly AttributeFiles[]> {
  const root = await rootOf(parts);
  if (root === undefined) return [];
  const { objects, trees } = parts;
  const layer = createMonorepoLayer({ snapshot: root, objects, ...(trees === undefined ? {} : { trees }) });
  const found: AttributeFiles[] = [];
  let folder: LayerEntry | undefined = layer.root;
  for (const name of names) {
    // Mega shows imported repositories in places that their parents do not list.
    if (folder === undefined || (folder.mode & S_IFMT) !== S_IFDIR) break;
    const listing = await layer.list(folder);
    const [gitattributes, libraAttributes] = await Promise.all([
      contentOf(layer, listing.get('.gitattributes')),
      folder === layer.root ? contentOf(layer, listing.get('.libra_attributes')) : undefined,
    ]);
    found.push({ gitattributes, libraAttributes });
    folder = listing.get(name);
  }
  return found;
}

async function contentOf(
  layer: Layer,
  entry: LayerEntry | undefined,
  request?: LayerRequest,
): Promise<Buffer | undefined> {
  // As Git does: an attribute file that is a symlink is none.
  if (entry === undefined || (entry.mode & S_IFMT) !== S_IFREG) return undefined;
  const fd = await layer.open(entry, request);
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The repository's root at the mount's commit, or at the server's head where the server can show that only. */
async function rootOf({
  snapshot,
  upstream,
  file,
  onWarning,
}: AttributesAboveParts): Promise<Snapshot | undefined> {
  const { commit } = snapshot;
  const remembered = await readRoot(file, commit);
  if (remembered !== undefined) return { ...snapshot, ...remembered, path: '/' };
  let root: Snapshot;
  try {
    root = await upstream.resolve('/', { commit }).catch((error: unknown) => {
      if (error instanceof UpstreamError && error.kind === 'moved') return upstream.resolve('/');
      throw error;
    });
  } catch (error) {
    if (!(error instanceof UpstreamError) || !['not-found', 'refused', 'moved'].includes(error.kind))
      throw error;
    onWarning(`attribute files above the mounted path do not count: ${error.message}`);
    return undefined;
  }
  await mkdir(dirname(file), { recursive: true })
    .then(() =>
      atomicWrite(file, JSON.stringify({ for: commit, commit: root.commit, tree: root.tree }), {
        durable: false,
      }),
    )
    // Then the next start asks again.
    .catch(() => undefined);
  return root;
}

async function readRoot(file: string, commit: string): Promise<{ commit: string; tree: string } | undefined> {
  try {
    const root = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    if (root['for'] !== commit || !isObjectId(root['commit']) || !isObjectId(root['tree'])) return undefined;
    return { commit: root['commit'], tree: root['tree'] };
  } catch {
    return undefined;
  }
}
