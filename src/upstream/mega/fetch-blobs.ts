// Many blobs: batches where the server can, and single requests for what they leave.
import { EMPTY_BLOB_ID } from '../../util/git-hash.ts';
import type { ObjectHasher } from '../../util/git-hash.ts';
import type { ObjectId } from '../../util/types.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { BlobSink, UpstreamRequest } from '../upstream.ts';
import { apiPath } from './api-path.ts';
import { badAnswer } from './attempt-error.ts';
import { readBatch } from './batch-reader.ts';
import type { CapabilityDiscovery } from './capabilities.ts';
import { eachRequest } from './each-request.ts';
import { fetchBlob } from './fetch-blob.ts';
import { chunksOf, concernsAll, isRouteMissing } from './fetch-sizes.ts';
import type { MegaAnswer, MegaHttp } from './mega-http.ts';
import { createSinkHasher } from './sink-hasher.ts';

/** Batches under way at once; a long list is spread over them. */
const PARALLEL_BATCHES = 4;

/** Fewer than these are not worth being spread. */
const MIN_BATCH = 16;

/** More than these hold up the server and its other clients for no gain. */
const MAX_BATCH = 1_000;

/** Called once for each id, with the error that it met. */
type Done = (id: ObjectId, error: Error | undefined) => void | Promise<void>;

interface Job {
  readonly http: MegaHttp;
  readonly capabilities: CapabilityDiscovery;
  readonly sinkOf: (id: ObjectId) => BlobSink;
  /** Ids whose `done` was not called. */
  readonly open: Set<ObjectId>;
  readonly settle: (id: ObjectId, error: Error | undefined) => Promise<void>;
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** `fetchBlobs` of the contract. */
export async function fetchBlobs(
  http: MegaHttp,
  capabilities: CapabilityDiscovery,
  ids: readonly ObjectId[],
  sinkOf: (id: ObjectId) => BlobSink,
  done: Done,
  request: UpstreamRequest | undefined,
): Promise<void> {
  const open = new Set(ids);
  const sinks = new Map<ObjectId, BlobSink>();
  const job: Job = {
    http,
    capabilities,
    open,
    sinkOf(id) {
      const sink = sinks.get(id) ?? sinkOf(id);
      sinks.set(id, sink);
      return sink;
    },
    async settle(id, error) {
      open.delete(id);
      sinks.delete(id);
      await done(id, error);
    },
  };
  try {
    if (open.has(EMPTY_BLOB_ID)) await fetchOne(job, EMPTY_BLOB_ID, request);
    if (open.size === 0) return;
    const { features, maxBlobs } = await capabilities.get(request);
    if (features.has('blob-batch')) {
      const length = Math.min(
        maxBlobs,
        MAX_BATCH,
        Math.max(MIN_BATCH, Math.ceil(open.size / PARALLEL_BATCHES)),
      );
      await eachRequest(chunksOf([...open], length), PARALLEL_BATCHES, request, (batch, linked) =>
        fetchBatch(job, batch, linked),
      );
    }
    await fetchSingly(job, [...open], request);
  } catch (error) {
    for (const id of open) {
      // The error that ended the whole is the one to report, not what `done` makes of it.
      await job.settle(id, asError(error)).catch(() => undefined);
    }
    throw error;
  }
}

async function fetchOne(job: Job, id: ObjectId, request: UpstreamRequest | undefined): Promise<void> {
  let failure: Error | undefined;
  try {
    await fetchBlob(job.http, job.capabilities, id, job.sinkOf(id), request);
  } catch (error) {
    if (concernsAll(error)) throw error;
    failure = asError(error);
  }
  await job.settle(id, failure);
}

function fetchSingly(
  job: Job,
  ids: readonly ObjectId[],
  request: UpstreamRequest | undefined,
): Promise<void> {
  return eachRequest(ids, job.http.concurrency, request, (id, linked) => fetchOne(job, id, linked));
}

/** Fetches a batch as far as the server gives it; what it does not give, or gives wrong, stays open. */
async function fetchBatch(job: Job, ids: readonly ObjectId[], request: UpstreamRequest): Promise<void> {
  const wrong = new Set<ObjectId>();
  const remaining = (): ObjectId[] => ids.filter((id) => job.open.has(id) && !wrong.has(id));
  let before = ids.length;
  try {
    await job.http.stream(
      {
        request: () => ({ method: 'POST', path: apiPath('/object/blobs'), json: { oids: remaining() } }),
        async handle(answer) {
          await receiveBatch(job, answer, new Set(remaining()), wrong);
          const left = remaining().length;
          if (left > 0) throw badAnswer(`the batch lacks ${left} of the blobs asked for`);
        },
        progressed() {
          const after = remaining().length;
          const hasProgress = after < before;
          before = after;
          return hasProgress;
        },
      },
      request,
    );
  } catch (error) {
    if (!(error instanceof UpstreamError) || concernsAll(error)) throw error;
    if (isRouteMissing(error)) job.capabilities.withdraw('blob-batch');
    else job.http.log(`${error.message}; fetching ${remaining().length} blobs one by one`);
  }
}

/** One answer with a batch. `awaited` are the ids that it may have. */
async function receiveBatch(
  job: Job,
  answer: MegaAnswer,
  awaited: Set<ObjectId>,
  wrong: Set<ObjectId>,
): Promise<void> {
  let current: {
    id: ObjectId;
    hasher: ObjectHasher | undefined;
    sink: BlobSink | undefined;
    failure: Error | undefined;
  };

  const take = (id: ObjectId): void => {
    if (!awaited.delete(id)) throw badAnswer(`the batch has ${id}, which was not asked for`);
  };

  /** A failing sink (a full disk, say) is the trouble of its blob only: the rest of the stream is good. */
  async function toSink(action: (sink: BlobSink) => void | Promise<void>): Promise<void> {
    if (current.failure !== undefined) return;
    try {
      current.sink ??= job.sinkOf(current.id);
      await action(current.sink);
    } catch (error) {
      current.failure = asError(error);
    }
  }

  await readBatch(answer.body, {
    async missing(id) {
      take(id);
      await job.settle(id, new UpstreamError('not-found', `the server at ${job.http.url} has no blob ${id}`));
    },
    async begin(id, size) {
      take(id);
      current = { id, hasher: undefined, sink: undefined, failure: undefined };
      await toSink((sink) => sink.begin(size));
      current.hasher = createSinkHasher(size, current.failure === undefined ? current.sink : undefined);
    },
    async write(chunk) {
      current.hasher?.update(chunk);
      await toSink((sink) => sink.write(chunk));
    },
    async end() {
      const { id, hasher, failure } = current;
      // A sink that failed cannot tell what it got.
      const isRight = failure !== undefined || hasher?.digest() === id;
      if (isRight) await job.settle(id, failure);
      else wrong.add(id);
    },
  });
}
