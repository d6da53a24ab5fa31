// Many trees as one body, each with the sizes of its blobs.
import type { RepositoryView } from './repository-view.ts';
import type { SizedTree } from '../git/sized-tree.ts';
import type { ObjectId } from '../util/types.ts';

/** Trees that are read while an earlier one is on its way. */
const AHEAD_COUNT_MAX = 16;
const CHUNK_BYTES = 64 * 1024;

function frameOf(id: ObjectId, tree: SizedTree | undefined): Buffer[] {
  if (tree === undefined) return [Buffer.from(`${id} missing\n`)];
  const { payload } = tree;
  const sizes = tree.sizes ?? Buffer.alloc(0);
  return [Buffer.from(`${id} tree ${payload.length} ${sizes.length}\n`), payload, sizes, Buffer.from('\n')];
}

/**
 * The body in pieces: for each id `<oid> tree <bytes of payload> <bytes of sizes>\n<payload><sizes>\n`, or
 * `<oid> missing\n`. The sizes are packed as git/sized-tree.ts says. Fails with GitError; `signal` ends it at once.
 */
export async function* treeFrames(
  view: RepositoryView,
  ids: readonly ObjectId[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const ahead: Promise<SizedTree | undefined>[] = [];
  let next = 0;
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  for (const id of ids) {
    signal.throwIfAborted();
    for (; next < ids.length && ahead.length < AHEAD_COUNT_MAX; next++) {
      const tree = view.sizedTree(ids[next] as ObjectId);
      // It is awaited in its turn; until then a failure is nobody's.
      tree.catch(() => {});
      ahead.push(tree);
    }
    for (const piece of frameOf(id, await ahead.shift())) {
      pieces.push(piece);
      pieceBytes += piece.length;
    }
    if (pieceBytes < CHUNK_BYTES) continue;
    yield Buffer.concat(pieces);
    pieces = [];
    pieceBytes = 0;
  }
  if (pieceBytes > 0) yield Buffer.concat(pieces);
}
