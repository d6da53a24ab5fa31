// Learning anew which blobs of a mount are pointers, from the trees and blobs that the local store has.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Layer, LayerEntry } from '../../layers/layer.ts';
import { PointerBlobs } from '../../layers/pointer-blobs.ts';
import { isFolderMode, isSymlinkMode } from '../../layers/tree-table.ts';
import { POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../../lfs/pointer.ts';
import type { PointerStore } from '../../lfs/pointer-store.ts';
import type { LazyObjects } from '../../objects/lazy-objects.ts';

/** Files after which everybody else has a turn. */
const FILES_A_TURN = 500;

/** What it works on. */
export interface LearnPointersParts {
  readonly mountId: string;
  readonly plain: Layer;
  readonly objects: Pick<LazyObjects, 'hasBlob' | 'hasTree' | 'openBlob' | 'prefetchBlobs'>;
  readonly pointers: PointerStore;
  /** Whether the local store has a large file: then its path was fetched with this pointer. */
  readonly isStored: (oid: string) => boolean;
}

/**
 * Walks the folders of a mount whose trees are stored, and notes those of their blobs that are stored and small; no
 * server is asked. Returns how many pointers there are. Ends early, without an error, when the signal aborts.
 */
export async function learnPointers(parts: LearnPointersParts, signal: AbortSignal): Promise<number> {
  const { mountId, plain, objects, pointers, isStored } = parts;
  const blobs = new PointerBlobs(objects, pointers);
  const folders: LayerEntry[] = [plain.root];
  let found = 0;
  let looks = 0;
  for (let folder = folders.pop(); folder !== undefined && !signal.aborted; folder = folders.pop()) {
    if (folder.isSubmodule === true || !objects.hasTree(folder.id)) continue;
    const listing = await plain.list(folder, { priority: 'prefetch', signal });
    for (let index = 0; index < listing.length; index++) {
      if (++looks % FILES_A_TURN === 0) await nextTurn();
      const entry = listing.at(index);
      if (isFolderMode(entry.mode)) folders.push(entry);
      const size = plain.knownSize(entry);
      if (size === undefined || size < POINTER_MIN_BYTES || size > POINTER_MAX_BYTES) continue;
      if (isSymlinkMode(entry.mode) || !objects.hasBlob(entry.id)) continue;
      const object = await blobs.learn(entry.id, { priority: 'prefetch', signal });
      if (object === 'none') continue;
      found++;
      if (isStored(object.oid)) pointers.notePath(mountId, entry.path, { ...object, blob: entry.id });
    }
  }
  return found;
}
