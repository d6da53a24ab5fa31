// The pointers that the commit of a mount has.
import { closeSync } from 'node:fs';
import type { Layer, LayerEntry } from '../../layers/layer.ts';
import { objectOf } from '../../layers/pointer-blobs.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../../lfs/pointer.ts';
import type { PointerStore } from '../../lfs/pointer-store.ts';
import { isRegular } from '../merged-changes.ts';
import { readStart } from '../../util/read-start.ts';

/** Tells which files of the lower layer are pointers. */
export interface LowerPointers {
  /** What the file is a pointer of; undefined: it is none. Fetches its blob where that is needed. */
  of(entry: LayerEntry, signal: AbortSignal): Promise<LfsObject | undefined>;
  /** The same as far as it is known without the blob. */
  known(entry: LayerEntry): LfsObject | 'none' | undefined;
  /** The blob of a pointer, as it is. */
  read(entry: LayerEntry, signal: AbortSignal): Promise<Buffer>;
}

/** `plain` shows pointers as they are. */
export function createLowerPointers(plain: Layer, pointers: PointerStore): LowerPointers {
  const mayBe = (size: number): boolean => size >= POINTER_MIN_BYTES && size <= POINTER_MAX_BYTES;
  const known = (entry: LayerEntry): LfsObject | 'none' | undefined => {
    if (!isRegular(entry.mode)) return 'none';
    const size = plain.knownSize(entry);
    return size !== undefined && !mayBe(size) ? 'none' : pointers.blob(entry.id);
  };
  const read = async (entry: LayerEntry, signal: AbortSignal): Promise<Buffer> => {
    const fd = await plain.open(entry, { signal });
    try {
      return readPointer(fd);
    } finally {
      closeSync(fd);
    }
  };
  return {
    known,
    read,
    async of(entry, signal) {
      const found = known(entry);
      if (found !== undefined) return found === 'none' ? undefined : found;
      if (!mayBe(await plain.size(entry, { signal }))) return undefined;
      const object = objectOf(await read(entry, signal));
      pointers.noteBlobs([[entry.id, object]]);
      return object === 'none' ? undefined : object;
    },
  };
}

/** The start of a file: all of it where it may be a pointer, and one byte more where it is too long for one. */
export function readPointer(fd: number): Buffer {
  return readStart(fd, Buffer.alloc(POINTER_MAX_BYTES + 1));
}
