// A folder that came as one pack: its objects are taken over into the store as they are asked for, each verified.
import { rm } from 'node:fs/promises';
import { CatFile, type CatFileAnswer } from '../git/cat-file.ts';
import { createBlobStream } from '../git/blob-stream.ts';
import type { ObjectId } from '../util/types.ts';
import type { ObjectStore } from './object-store.ts';

/** Larger blobs are streamed, each by a git of its own. Bytes. */
const IN_MEMORY_BYTES = 256 * 1024;
/** Objects of one question to git: all of its answer is in memory at once. */
const OBJECTS_PER_QUESTION = 64;

/** Told of each blob that was stored, and its size in bytes. */
export type OnBlob = (id: ObjectId, size: number) => void;

/** The objects of a fetched folder. Closing removes what is left of it. */
export class SubtreePack implements AsyncDisposable {
  readonly #directory: string;
  readonly #store: ObjectStore;
  readonly #objects: CatFile;

  /** `directory` is the repository that holds the pack. */
  constructor(directory: string, store: ObjectStore) {
    this.#directory = directory;
    this.#store = store;
    this.#objects = new CatFile(directory, '--batch', undefined);
  }

  /** Stores those of the trees that the pack has. Rejects with GitError, and with ErrnoError of the disk. */
  async takeTrees(ids: readonly ObjectId[], signal: AbortSignal): Promise<void> {
    await this.#each(ids, signal, async (answers) => {
      const trees = answers.flatMap(({ header, payload }) =>
        header?.type === 'tree' && payload !== undefined
          ? [[header.id, { payload, sizes: undefined }] as const]
          : [],
      );
      if (trees.length > 0) this.#store.putTrees(trees);
    });
  }

  /** Stores those of the blobs that the pack has; as `takeTrees`. */
  async takeBlobs(ids: readonly ObjectId[], onBlob: OnBlob, signal: AbortSignal): Promise<void> {
    await this.#each(ids, signal, async (answers) => {
      for (const { header, payload } of answers) {
        if (header?.type !== 'blob') continue;
        const { id, size } = header;
        onBlob(id, await this.#keep(id, size, payload, signal));
      }
    });
  }

  async close(): Promise<void> {
    this.#objects.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #each(
    ids: readonly ObjectId[],
    signal: AbortSignal,
    use: (answers: readonly CatFileAnswer[]) => Promise<void>,
  ): Promise<void> {
    for (let at = 0; at < ids.length; at += OBJECTS_PER_QUESTION) {
      signal.throwIfAborted();
      const some = ids.slice(at, at + OBJECTS_PER_QUESTION);
      // Trees are read whole by everybody else, too.
      await use(
        await this.#objects.ask(some, ({ type, size }) => type === 'tree' || size <= IN_MEMORY_BYTES),
      );
    }
  }

  async #keep(id: ObjectId, size: number, payload: Buffer | undefined, signal: AbortSignal): Promise<number> {
    const writer = this.#store.writeBlob(id);
    try {
      writer.begin(size);
      if (payload !== undefined) {
        if (size > 0) await writer.write(payload);
      } else {
        const stream = createBlobStream(this.#directory, id, { start: 0, length: size });
        const stop = (): void => void stream.destroy(signal.reason as Error);
        signal.addEventListener('abort', stop, { once: true });
        try {
          for await (const chunk of stream as AsyncIterable<Buffer>) await writer.write(chunk);
        } finally {
          signal.removeEventListener('abort', stop);
          stream.destroy();
        }
      }
      return await writer.finish();
    } catch (error) {
      throw writer.failure ?? error;
    } finally {
      writer.abandon();
    }
  }
}
