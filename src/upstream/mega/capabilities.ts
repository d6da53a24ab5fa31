// What a server can do beyond a plain Mega, found out once.
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamRequest } from '../upstream.ts';
import { asEnvelope, asRecord } from './envelope.ts';
import type { MegaHttp, MegaReply } from './mega-http.ts';
import { orAborted } from '../../util/or-aborted.ts';

/** Something that a server may offer beyond a plain Mega. */
export type Feature =
  | 'blob-sizes'
  | 'blob-batch'
  | 'blob-range'
  | 'tree-by-id'
  | 'tree-batch'
  | 'commit-pinning';

const FEATURES: readonly Feature[] = [
  'blob-sizes',
  'blob-batch',
  'blob-range',
  'tree-by-id',
  'tree-batch',
  'commit-pinning',
];

/** What a server offers. */
export interface Capabilities {
  readonly features: ReadonlySet<Feature>;
  /** Ids in one request for sizes. */
  readonly maxSizes: number;
  /** Ids in one request for blobs. */
  readonly maxBlobs: number;
  /** Ids in one request for trees. */
  readonly maxTrees: number;
}

/** Finds out what a server offers, and remembers it. */
export interface CapabilityDiscovery {
  /**
   * Asks the server at the first call; all calls share that request. Rejects with UpstreamError when the server does
   * not answer, and the next call asks again.
   */
  get(request?: UpstreamRequest): Promise<Capabilities>;
  /** Whether the server has a feature; as `get`. */
  has(feature: Feature, request?: UpstreamRequest): Promise<boolean>;
  /** The server turned out not to have a feature that it announced (it was replaced, say): use it no more. */
  withdraw(feature: Feature): void;
}

/** A server that failed to say what it offers is taken as a plain Mega for this long. */
const ASK_AGAIN_MS = 60_000;

const PLAIN: Capabilities = { features: new Set(), maxSizes: 1, maxBlobs: 1, maxTrees: 1 };

const limitOf = (limits: unknown, name: string, fallback: number): number => {
  const value = asRecord(limits)?.[name];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : fallback;
};

/** The announcement in a reply; a plain Mega answers with an error, with text, or with something else entirely. */
function parseCapabilities(reply: MegaReply): Capabilities {
  if (reply.status !== 200) return PLAIN;
  let json: unknown;
  try {
    json = JSON.parse(reply.body.toString('utf8'));
  } catch {
    return PLAIN;
  }
  const envelope = asEnvelope(json);
  const data = envelope?.ok === true ? asRecord(envelope.data) : undefined;
  const announced = data?.['features'];
  if (!Array.isArray(announced)) return PLAIN;
  return {
    features: new Set(FEATURES.filter((feature) => announced.includes(feature))),
    maxSizes: limitOf(data?.['limits'], 'blob_sizes', 500),
    maxBlobs: limitOf(data?.['limits'], 'blob_batch', 100),
    maxTrees: limitOf(data?.['limits'], 'tree_batch', 100),
  };
}

/** Discovery for the server behind `http`; asks nothing before it is asked. */
export function createCapabilityDiscovery(http: MegaHttp): CapabilityDiscovery {
  let known: Capabilities | undefined;
  let knownUntil = 0;
  let asking: Promise<Capabilities> | undefined;

  async function ask(): Promise<Capabilities> {
    try {
      const asked = { method: 'GET', path: '/api/v1/capabilities' } as const;
      const found = await http.read(
        asked,
        parseCapabilities,
        undefined,
        [400, 401, 403, 404, 405, 406, 410, 422],
      );
      known = found;
      knownUntil = Infinity;
      return found;
    } catch (error) {
      // Whoever listens but fails at this may well serve the rest.
      if (!(error instanceof UpstreamError) || error.kind !== 'server') throw error;
      http.log(`${error.message}; taking it for a server without capabilities`);
      known = PLAIN;
      knownUntil = performance.now() + ASK_AGAIN_MS;
      return PLAIN;
    } finally {
      asking = undefined;
    }
  }

  function get(request?: UpstreamRequest): Promise<Capabilities> {
    if (known !== undefined && performance.now() < knownUntil) return Promise.resolve(known);
    asking ??= ask();
    // What many wait for goes on when one of them gives up.
    return orAborted(
      asking,
      request?.signal,
      ({ reason }) => new UpstreamError('aborted', 'the caller gave up', { cause: reason }),
    );
  }

  return {
    get,
    has: async (feature, request) => (await get(request)).features.has(feature),
    withdraw(feature) {
      if (known === undefined) return;
      http.log(`the server at ${http.url} does not serve '${feature}' although it announced it`);
      known = { ...known, features: new Set([...known.features].filter((other) => other !== feature)) };
    },
  };
}
