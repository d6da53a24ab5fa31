// The batch route: what to do about up to a hundred objects, in one request.
import { headerOf } from '../../util/http-headers.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsObject, LfsOid } from '../lfs-object.ts';
import { parseBatchAnswer } from './batch-answer.ts';
import type { BatchAnswer, BatchObject } from './batch-answer.ts';
import { urlBelow } from './endpoint.ts';
import { shownUrl, wrongAnswer } from './failures.ts';
import type { Probe, ServerFinder } from './find-server.ts';
import { isPage, jsonOf, LFS_MEDIA_TYPE, replyFailure } from './lfs-api.ts';
import type { ApiReply, LfsApi } from './lfs-api.ts';

/** Objects of one request, as git-lfs does it. */
export const BATCH_MAX_OBJECTS = 100;

/** Statuses that a server has for a route that it does not know. Objects are never answered so as a whole. */
const NO_ROUTE: readonly number[] = [404, 405, 410, 501];

/** What is asked. */
export interface BatchAsked {
  readonly operation: 'download' | 'upload';
  readonly objects: readonly (LfsObject & { readonly path?: string })[];
  /** Ways of transfer that the caller has, best first. */
  readonly transfers: readonly string[];
}

/** Asks about objects. Rejects with LfsError when the server could not be asked. */
export interface BatchRoute {
  ask(asked: BatchAsked, signal: AbortSignal): Promise<BatchAnswer>;
  /** Finds the server by asking about an object that everybody may lack. */
  readonly probe: Probe<unknown>;
  /** How many objects a request may have, as far as is known. */
  readonly maxObjects: number;
}

/** What the route needs. */
export interface BatchOptions {
  readonly api: LfsApi;
  readonly finder: ServerFinder;
  readonly baseUrl: URL;
  /** `refs/heads/main`, say. */
  readonly ref: string;
}

const EMPTY_OBJECT: LfsObject = {
  oid: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  size: 0,
};

type Outcome = BatchAnswer | 'too-large' | 'no-lfs';

/** Asks nothing yet. */
export function createBatchRoute({ api, finder, baseUrl, ref }: BatchOptions): BatchRoute {
  let maxObjects = BATCH_MAX_OBJECTS;
  // Some servers refuse what they do not know.
  let sendsPaths = true;

  function parse(reply: ApiReply, asked: BatchAsked, server: URL, url: URL): Outcome {
    if (reply.status === 413) {
      if (asked.objects.length <= 1) throw replyFailure(reply, { method: 'POST', url });
      return 'too-large';
    }
    if (NO_ROUTE.includes(reply.status)) return 'no-lfs';
    const base = baseUrl.origin === server.origin ? baseUrl : new URL(server.origin);
    const answer = parseBatchAnswer(reply, asked.objects, { server, base });
    if (answer !== undefined) return checked(answer, reply, asked, url);
    const isLfs = (headerOf(reply.headers, 'content-type') ?? '').startsWith(LFS_MEDIA_TYPE);
    if (!isLfs || isPage(reply)) return 'no-lfs';
    throw wrongAnswer('it lists no objects', `POST ${shownUrl(url)}`);
  }

  function checked(answer: BatchAnswer, reply: ApiReply, asked: BatchAsked, url: URL): BatchAnswer {
    const { hash_algo: algorithm } = jsonOf(reply) as { hash_algo?: unknown };
    const what = `POST ${shownUrl(url)}`;
    if (typeof algorithm === 'string' && algorithm !== '' && algorithm !== 'sha256') {
      throw wrongAnswer(`it is about ${algorithm} hashes`, what);
    }
    if (!asked.transfers.includes(answer.transfer)) {
      throw wrongAnswer(`it wants transfers of the kind ${answer.transfer}`, what);
    }
    return answer;
  }

  async function askAt(server: URL, asked: BatchAsked, signal: AbortSignal): Promise<Outcome> {
    const url = urlBelow(server, '/objects/batch');
    const objects = asked.objects.map(({ oid, size, path }) =>
      path === undefined || !sendsPaths ? { oid, size } : { oid, size, path },
    );
    const json = {
      operation: asked.operation,
      transfers: asked.transfers,
      ref: { name: ref },
      objects,
      hash_algo: 'sha256',
    };
    try {
      const accept = [413, ...NO_ROUTE];
      const ask = { method: 'POST' as const, url, json };
      return await api.ask(ask, accept, (reply) => parse(reply, asked, server, url), signal);
    } catch (error) {
      const hadPaths = objects.some((object) => 'path' in object);
      if (!hadPaths || !(error instanceof LfsError) || error.kind !== 'invalid') throw error;
      sendsPaths = false;
      return askAt(server, asked, signal);
    }
  }

  async function ask(asked: BatchAsked, signal: AbortSignal): Promise<BatchAnswer> {
    const answer = await finder.ask((server, aborting) => askAt(server, asked, aborting), signal);
    if (answer !== 'too-large') return answer;
    const half = Math.ceil(asked.objects.length / 2);
    maxObjects = Math.max(1, Math.min(maxObjects, half));
    const objects = new Map<LfsOid, BatchObject | LfsError>();
    let transfer = 'basic';
    for (const part of [asked.objects.slice(0, half), asked.objects.slice(half)]) {
      const partly = await ask({ ...asked, objects: part }, signal);
      transfer = partly.transfer;
      for (const [oid, object] of partly.objects) objects.set(oid, object);
    }
    return { transfer, objects };
  }

  return {
    ask,
    probe: (server, signal) =>
      askAt(server, { operation: 'download', objects: [EMPTY_OBJECT], transfers: ['basic'] }, signal),
    get maxObjects() {
      return maxObjects;
    },
  };
}
