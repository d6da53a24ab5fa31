// An upstream in memory, with counters and with faults to switch on.
import { encodeRawTree, parseRawTree, type RawTreeEntry } from '../../src/git/raw-tree.ts';
import { isBlobEntry, packSizes, type SizedTree } from '../../src/git/sized-tree.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import type {
  BlobSink,
  Snapshot,
  TreeLocation,
  Upstream,
  UpstreamRequest,
  WantedTree,
} from '../../src/upstream/upstream.ts';
import { hashObject } from '../../src/util/git-hash.ts';
import type { ObjectId } from '../../src/util/types.ts';

const PIECE_BYTES = 64 * 1024;

/** A file with a mode of its own. */
export class FileSource {
  readonly mode: number;
  readonly content: string | Buffer;

  constructor(mode: number, content: string | Buffer) {
    this.mode = mode;
    this.content = content;
  }
}

/** A tree as a test writes it: names (latin1) to contents. */
export interface TreeSource {
  readonly [name: string]: string | Buffer | FileSource | TreeSource;
}

/** Which method a call went to, and what for. */
export interface UpstreamCall {
  readonly method: 'resolve' | 'fetchTree' | 'fetchTrees' | 'fetchSizes' | 'fetchBlob' | 'fetchBlobs';
  readonly ids: readonly ObjectId[];
  readonly priority: 'demand' | 'prefetch';
}

/** The upstream; what a test sets here changes what later calls meet. */
export class MemoryUpstream implements Upstream {
  readonly url = 'memory:';
  readonly trees: Map<ObjectId, Buffer> = new Map();
  readonly blobs: Map<ObjectId, Buffer> = new Map();
  readonly calls: UpstreamCall[] = [];
  /** Ids whose requests were aborted. */
  readonly aborted: ObjectId[] = [];
  /** What `resolve` answers, whatever the path. */
  head: Snapshot | undefined;
  /** What every call waits for first. */
  gate: ((call: UpstreamCall) => Promise<void> | undefined) | undefined;
  /** What a call fails with. */
  fault: ((call: UpstreamCall) => Error | undefined) | undefined;
  /** Called between the first and the later pieces of each blob. */
  midway: ((id: ObjectId) => Promise<void> | undefined) | undefined;
  /** Replaces the bytes that are sent. */
  tamper: ((id: ObjectId, bytes: Buffer) => Buffer) | undefined;
  /** Calls that were not answered yet. */
  underWay = 0;
  /** Whether trees come with the sizes of their blobs. */
  sizesTrees = false;
  /** Whether the length of a blob is told before its bytes. */
  tellsSize = true;

  /** Adds a blob. */
  addBlob(content: string | Buffer): ObjectId {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    const id = hashObject('blob', bytes);
    this.blobs.set(id, bytes);
    return id;
  }

  /** Adds a tree of these entries, in this order. */
  addTree(entries: readonly RawTreeEntry[]): ObjectId {
    return this.addPayload(encodeRawTree(entries));
  }

  /** Adds a tree with this payload. */
  addPayload(payload: Buffer): ObjectId {
    const id = hashObject('tree', payload);
    this.trees.set(id, payload);
    return id;
  }

  /** Adds a tree with all that is below it. */
  add(source: TreeSource): ObjectId {
    return this.addTree(
      Object.entries(source).map(([name, value]) => {
        if (typeof value === 'string' || Buffer.isBuffer(value))
          return { mode: 0o100644, name, id: this.addBlob(value) };
        if (value instanceof FileSource) return { mode: value.mode, name, id: this.addBlob(value.content) };
        return { mode: 0o40000, name, id: this.add(value) };
      }),
    );
  }

  /** A snapshot of a tree. */
  snapshot(tree: ObjectId): Snapshot {
    return { commit: 'c'.repeat(40), time: 1_700_000_000, tree, path: '/' };
  }

  /** How many calls a method got. */
  count(method: UpstreamCall['method']): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  resolve(_path: string, request: UpstreamRequest = {}): Promise<Snapshot> {
    return this.#serve('resolve', [], request, () => {
      if (this.head === undefined) throw new UpstreamError('not-found', 'memory: there is no commit');
      return this.head;
    });
  }

  fetchTree(id: ObjectId, _location: TreeLocation, request: UpstreamRequest = {}): Promise<SizedTree> {
    return this.#serve('fetchTree', [id], request, () => {
      const tree = this.#tree(id);
      if (tree instanceof Error) throw tree;
      return tree;
    });
  }

  fetchTrees(
    wanted: readonly WantedTree[],
    take: (id: ObjectId, tree: SizedTree | Error) => void,
    request: UpstreamRequest = {},
  ): Promise<void> {
    const ids = wanted.map(({ id }) => id);
    return this.#serve('fetchTrees', ids, request, () => {
      for (const id of ids) take(id, this.#tree(id));
    });
  }

  fetchSubtree: Upstream['fetchSubtree'] = async () => {
    throw new UpstreamError('refused', 'memory: there is no Git interface');
  };

  batchesBlobs = async (): Promise<boolean> => true;

  fetchSizes(ids: readonly ObjectId[], request: UpstreamRequest = {}): Promise<Map<ObjectId, number>> {
    return this.#serve('fetchSizes', ids, request, () => {
      const sizes = new Map<ObjectId, number>();
      for (const id of ids) {
        const blob = this.blobs.get(id);
        if (blob !== undefined) sizes.set(id, blob.length);
      }
      return sizes;
    });
  }

  readonly batchesSizes = (): Promise<boolean> => Promise.resolve(true);

  fetchBlob(id: ObjectId, sink: BlobSink, request: UpstreamRequest = {}): Promise<void> {
    return this.#serve('fetchBlob', [id], request, () => this.#send(id, sink, request));
  }

  fetchBlobs(
    ids: readonly ObjectId[],
    sinkOf: (id: ObjectId) => BlobSink,
    done: (id: ObjectId, error: Error | undefined) => void | Promise<void>,
    request: UpstreamRequest = {},
  ): Promise<void> {
    return this.#serve('fetchBlobs', ids, request, async () => {
      for (const id of ids) {
        if (!this.blobs.has(id)) {
          await done(id, new UpstreamError('not-found', `memory: no blob ${id}`));
          continue;
        }
        await this.#send(id, sinkOf(id), request);
        await done(id, undefined);
      }
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #tree(id: ObjectId): SizedTree | Error {
    const payload = this.trees.get(id);
    if (payload === undefined) return new UpstreamError('not-found', `memory: no tree ${id}`);
    const sizes = this.sizesTrees
      ? packSizes(
          parseRawTree(payload)
            .filter(isBlobEntry)
            .map((entry) => this.blobs.get(entry.id)?.length),
        )
      : undefined;
    return { payload: this.tamper?.(id, payload) ?? payload, sizes };
  }

  async #send(id: ObjectId, sink: BlobSink, request: UpstreamRequest): Promise<void> {
    const blob = this.blobs.get(id);
    if (blob === undefined) throw new UpstreamError('not-found', `memory: no blob ${id}`);
    const bytes = this.tamper?.(id, blob) ?? blob;
    await sink.begin(this.tellsSize ? blob.length : undefined);
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      await sink.write(bytes.subarray(start, start + PIECE_BYTES));
      if (start === 0) await this.#wait([id], this.midway?.(id), request);
    }
  }

  async #serve<T>(
    method: UpstreamCall['method'],
    ids: readonly ObjectId[],
    request: UpstreamRequest,
    answer: () => T | Promise<T>,
  ): Promise<T> {
    const call: UpstreamCall = { method, ids, priority: request.priority ?? 'demand' };
    this.calls.push(call);
    this.underWay++;
    try {
      await this.#wait(ids, this.gate?.(call), request);
      const fault = this.fault?.(call);
      if (fault !== undefined) throw fault;
      return await answer();
    } finally {
      this.underWay--;
    }
  }

  /** Waits, unless the request is aborted first. */
  async #wait(
    ids: readonly ObjectId[],
    until: Promise<void> | undefined,
    { signal }: UpstreamRequest,
  ): Promise<void> {
    let giveUp: () => void = () => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      giveUp = () => {
        this.aborted.push(...ids);
        reject(new UpstreamError('aborted', 'memory: aborted'));
      };
      if (signal?.aborted === true) giveUp();
      signal?.addEventListener('abort', giveUp, { once: true });
    });
    try {
      // Even a call that waits for nothing answers later, as a server does.
      await Promise.race([aborted, until ?? new Promise<void>((resolve) => void setImmediate(resolve))]);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }
}

/** A promise to resolve by hand. */
export function createGate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
