// What small blobs are: pointers to large files or ordinary files. Learned from their content, and remembered.
import { closeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LfsObject } from '../lfs/lfs-object.ts';
import { parsePointer, POINTER_MAX_BYTES } from '../lfs/pointer.ts';
import type { PointerStore } from '../lfs/pointer-store.ts';
import type { ObjectSource } from '../objects/object-source.ts';
import { chain } from '../util/chain.ts';
import type { Awaitable, ObjectId } from '../util/types.ts';
import type { LayerRequest } from './layer.ts';
import { readStart } from '../util/read-start.ts';

/** Blobs that are read from the store in one go, without letting others have their turn. */
const AT_ONCE = 64;

/** Blobs as they are needed here. */
export type BlobSource = Pick<ObjectSource, 'openBlob' | 'prefetchBlobs'> & {
  /** Whether the store has a blob. */
  hasBlob(id: ObjectId): boolean;
};

/** Answers for blobs whose size a pointer could have. */
export class PointerBlobs {
  readonly #objects: BlobSource;
  readonly #store: PointerStore;
  readonly #buffer = Buffer.alloc(POINTER_MAX_BYTES + 1);

  constructor(objects: BlobSource, store: PointerStore) {
    this.#objects = objects;
    this.#store = store;
  }

  /** What a blob is, if it is known without waiting. */
  known(id: ObjectId): LfsObject | 'none' | undefined {
    return this.#store.blob(id);
  }

  /** What a blob is; fetches it where that is needed. Rejects as a layer does. */
  learn(id: ObjectId, request?: LayerRequest): Awaitable<LfsObject | 'none'> {
    const known = this.#store.blob(id);
    if (known !== undefined) return known;
    const { opening } = this.#store;
    if (opening !== undefined) return opening.then(() => this.learn(id, request));
    return chain(this.#objects.openBlob(id, request), (fd) => this.#note(id, this.#read(fd)));
  }

  /**
   * Learns what blobs are, fetching those that the store lacks in as few requests as the source allows. One that cannot
   * be had stays unknown, and so do all that are to be fetched while the server is away. Whether all are known then.
   */
  learnAll(sizes: ReadonlyMap<ObjectId, number>, request?: LayerRequest): Awaitable<boolean> {
    const unknown = [...sizes.keys()].filter((id) => this.#store.blob(id) === undefined);
    if (unknown.length === 0) return true;
    const { opening } = this.#store;
    if (opening !== undefined) return opening.then(() => this.learnAll(sizes, request));
    const missing = unknown.filter((id) => !this.#objects.hasBlob(id));
    if (missing.length > 0 || unknown.length > AT_ONCE)
      return this.#fetchAll(unknown, missing, sizes, request);
    const rest = unknown.filter((id) => !this.#learnStored(id));
    return rest.length === 0 || this.#fetchAll(rest, [], sizes, request);
  }

  async #fetchAll(
    unknown: readonly ObjectId[],
    missing: readonly ObjectId[],
    sizes: ReadonlyMap<ObjectId, number>,
    request: LayerRequest | undefined,
  ): Promise<boolean> {
    const { signal, priority = 'demand' } = request ?? {};
    const ahead = {
      priority,
      sizeOf: (id: ObjectId) => sizes.get(id),
      ...(signal === undefined ? {} : { signal }),
    };
    if (missing.length > 0) await this.#objects.prefetchBlobs(missing, ahead).catch(() => undefined);
    let areAllKnown = true;
    for (const [nth, id] of unknown.entries()) {
      if (nth % AT_ONCE === AT_ONCE - 1) await nextTurn();
      if (
        this.#store.blob(id) !== undefined ||
        (this.#objects.hasBlob(id) && (await this.#learnLater(id, request)))
      ) {
        continue;
      }
      areAllKnown = false;
    }
    return areAllKnown;
  }

  async #learnLater(id: ObjectId, request: LayerRequest | undefined): Promise<boolean> {
    try {
      await this.learn(id, request);
      return true;
    } catch {
      return false;
    }
  }

  /** Whether it worked without waiting. */
  #learnStored(id: ObjectId): boolean {
    try {
      const fd = this.#objects.openBlob(id);
      if (fd instanceof Promise) {
        // It is being verified, and read again when that is done.
        fd.then(closeSync, () => undefined);
        return false;
      }
      this.#note(id, this.#read(fd));
      return true;
    } catch {
      return false;
    }
  }

  #note(id: ObjectId, what: LfsObject | 'none'): LfsObject | 'none' {
    this.#store.noteBlobs([[id, what]]);
    return what;
  }

  /** Reads and closes a descriptor. */
  #read(fd: number): LfsObject | 'none' {
    try {
      return objectOf(readStart(fd, this.#buffer));
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * The large file that a blob stands for. A pointer with extensions stands for what programs made of the file, which only
 * they could undo: it is read as it is.
 */
export function objectOf(content: Uint8Array): LfsObject | 'none' {
  const pointer = parsePointer(content);
  if (pointer === undefined || pointer.extensions.length > 0) return 'none';
  return { oid: pointer.oid, size: pointer.size };
}
