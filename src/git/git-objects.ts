// Reads objects of a local Git repository through a few long-lived git processes.
import type { Readable } from 'node:stream';
import { createBlobStream } from './blob-stream.ts';
import type { ByteSpan } from './blob-stream.ts';
import { CatFile } from './cat-file.ts';
import type { ObjectHeader } from './cat-file.ts';
import { GitError } from './git-error.ts';
import type { GitObjectType } from '../util/git-hash.ts';
import type { Logger } from '../util/logger.ts';
import { LruCache } from '../util/lru.ts';
import type { ObjectId } from '../util/types.ts';

const CONTENT_PROCESSES = 2;
/** Blobs whose sizes are remembered: who asks for a size asks for the content next. About 25 MB. */
const REMEMBERED_SIZES = 200_000;
/** Many headers are asked for in pieces, so that other questions find their turn between them. */
const HEADERS_PER_QUESTION = 1000;
/** Large blobs that are on their way at once; each has a process. */
const STREAMS_MAX = 32;
const STREAM_WAIT_TIMEOUT_MS = 20_000;

/** Objects of one repository. Methods reject with GitError. */
export class GitObjects implements Disposable {
  /** The repository's Git directory. */
  readonly gitDirectory: string;
  readonly #headers: CatFile;
  readonly #contents: readonly CatFile[];
  readonly #sizes = new LruCache<ObjectId, number>(REMEMBERED_SIZES);
  readonly #streams = new Set<Readable>();
  readonly #waitingForStream = new Set<() => void>();
  #closed = false;

  constructor(gitDirectory: string, log?: Logger) {
    this.gitDirectory = gitDirectory;
    this.#headers = new CatFile(gitDirectory, '--batch-check', log);
    this.#contents = Array.from(
      { length: CONTENT_PROCESSES },
      () => new CatFile(gitDirectory, '--batch', log),
    );
  }

  /** Process ids of the gits that run now for small objects. */
  get pids(): readonly number[] {
    return [this.#headers, ...this.#contents].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** Large blobs that are being streamed. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /**
   * Type, size and id of what an id or an expression (a binary string without line feeds) names now; undefined when it
   * names nothing.
   */
  async header(spec: string): Promise<ObjectHeader | undefined> {
    const [answer] = await this.#headers.ask([spec], () => false);
    return answer?.header;
  }

  /** The same for many ids, in their order. */
  async headers(ids: readonly ObjectId[]): Promise<(ObjectHeader | undefined)[]> {
    const result: (ObjectHeader | undefined)[] = [];
    for (let at = 0; at < ids.length; at += HEADERS_PER_QUESTION) {
      const answers = await this.#headers.ask(ids.slice(at, at + HEADERS_PER_QUESTION), () => false);
      for (const { header } of answers) result.push(header);
    }
    return result;
  }

  /** Sizes of blobs in bytes, in the order of their ids; undefined for what is no blob of the repository. */
  async blobSizes(ids: readonly ObjectId[]): Promise<(number | undefined)[]> {
    const sizes = ids.map((id) => this.#sizes.get(id));
    const unknown = ids.filter((_id, index) => sizes[index] === undefined);
    if (unknown.length === 0) return sizes;
    const headers = await this.headers(unknown);
    let next = 0;
    for (const [index, id] of ids.entries()) {
      if (sizes[index] !== undefined) continue;
      const header = headers[next++];
      if (header?.type !== 'blob') continue;
      sizes[index] = header.size;
      this.#sizes.set(id, header.size);
    }
    return sizes;
  }

  /** Forgets the size of a blob that turned out to be gone. */
  forgetSize(id: ObjectId): void {
    this.#sizes.delete(id);
  }

  /**
   * The payload of an object, in memory. Undefined when the repository has no object of this type with the id. Rejects
   * with kind `too-large` when it has more than `maxBytes`.
   */
  async read(id: ObjectId, type: GitObjectType, maxBytes: number): Promise<Buffer | undefined> {
    const [first, ...others] = this.#contents;
    let reader = first as CatFile;
    for (const other of others) if (other.pending < reader.pending) reader = other;
    const [answer] = await reader.ask([id], (header) => header.type === type && header.size <= maxBytes);
    const header = answer?.header;
    if (header?.type !== type) return undefined;
    if (answer?.payload === undefined) {
      throw new GitError(
        'too-large',
        `${type} ${id} has ${header.size} bytes, which is more than ${maxBytes}`,
      );
    }
    return answer.payload;
  }

  /**
   * A span of a blob of any size as a stream. The caller reads it to its end or destroys it: it holds a process and one
   * of a few places, for which this waits. The blob has been checked to exist.
   */
  async stream(id: ObjectId, span: ByteSpan): Promise<Readable> {
    const deadline = Date.now() + STREAM_WAIT_TIMEOUT_MS;
    while (this.#streams.size >= STREAMS_MAX && !this.#closed) {
      await this.#streamEnds(deadline - Date.now());
    }
    if (this.#closed) throw new GitError('closed', 'the repository was closed');
    const stream = createBlobStream(this.gitDirectory, id, span);
    this.#streams.add(stream);
    stream.once('close', () => {
      this.#streams.delete(stream);
      const [next] = this.#waitingForStream;
      next?.();
    });
    return stream;
  }

  /** Ends all processes and streams; what waits is rejected. */
  close(): void {
    this.#closed = true;
    this.#headers.close();
    for (const reader of this.#contents) reader.close();
    for (const stream of this.#streams) stream.destroy(new GitError('closed', 'the repository was closed'));
    for (const wake of this.#waitingForStream) wake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #streamEnds(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        this.#waitingForStream.delete(finish);
        resolve();
      };
      const timer = setTimeout(
        () => {
          this.#waitingForStream.delete(finish);
          reject(new GitError('failed', `${STREAMS_MAX} large files are being read already; try again`));
        },
        Math.max(0, timeoutMs),
      );
      this.#waitingForStream.add(finish);
    });
  }
}
