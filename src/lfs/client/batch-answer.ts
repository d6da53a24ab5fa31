// The batch API's answer, checked, with what servers get wrong put right.
import { headerOf } from '../../util/http-headers.ts';
import { withoutTrailingSlashes } from '../../util/slashes.ts';
import { LfsError } from '../lfs-error.ts';
import type { LfsObject, LfsOid } from '../lfs-object.ts';
import { urlBelow } from './endpoint.ts';
import { kindOfStatus, shownUrl } from './failures.ts';
import { isRecord, jsonOf } from './lfs-api.ts';
import type { ApiReply } from './lfs-api.ts';
import type { TransferAction } from './lfs-client.ts';

/** What a server said about one object. */
export interface BatchObject {
  readonly download: TransferAction | undefined;
  readonly upload: TransferAction | undefined;
  readonly verify: TransferAction | undefined;
}

/** What a server said about several. */
export interface BatchAnswer {
  /** How objects are transferred: `basic` or another of those that were offered. */
  readonly transfer: string;
  readonly objects: ReadonlyMap<LfsOid, BatchObject | LfsError>;
}

/** Clocks of servers may be off by less without anybody caring. */
const CLOCK_TOLERANCE_MS = 5_000;

/** How much the server's clock is ahead of the local one; milliseconds. Zero where it cannot be told. */
function clockAheadMs(reply: ApiReply): number {
  const date = Date.parse(headerOf(reply.headers, 'date') ?? '');
  const ahead = Number.isNaN(date) ? 0 : date - reply.askedAtMs;
  return Math.abs(ahead) < CLOCK_TOLERANCE_MS ? 0 : ahead;
}

/** When an action expires, by the local clock: after so many seconds, else at a time by the server's. */
function expiryOf(action: Readonly<Record<string, unknown>>, reply: ApiReply): number | undefined {
  const { expires_in: seconds, expires_at: at } = action;
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0) {
    return reply.askedAtMs + seconds * 1000;
  }
  const time = typeof at === 'string' ? Date.parse(at) : Number.NaN;
  // Go's zero time says that there is none.
  return Number.isNaN(time) || time <= 0 ? undefined : time - clockAheadMs(reply);
}

/** Where an action leads: servers name themselves by the address that they listen on, or not at all. */
function hrefUrl(href: string, server: URL, base: URL): URL | undefined {
  const here = urlBelow(server, '/objects/');
  if (!URL.canParse(href, here.href)) return undefined;
  const url = new URL(href, here);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  if (url.hostname !== '0.0.0.0' && url.hostname !== '[::]') return url;
  const real = new URL(base.origin);
  const prefix = withoutTrailingSlashes(base.pathname);
  const isBelow = prefix === '' || url.pathname.startsWith(`${prefix}/`);
  real.pathname = isBelow ? url.pathname : prefix + url.pathname;
  real.search = url.search;
  return real;
}

/** An action, undefined where there is none, `wrong` where it makes no sense. */
function actionOf(
  value: unknown,
  reply: ApiReply,
  places: BatchPlaces,
): TransferAction | undefined | 'wrong' {
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value) || typeof value['href'] !== 'string') return 'wrong';
  const url = hrefUrl(value['href'], places.server, places.base);
  if (url === undefined) return 'wrong';
  const header: Record<string, string> = {};
  for (const [name, text] of Object.entries(isRecord(value['header']) ? value['header'] : {})) {
    if (typeof text === 'string') header[name] = text;
  }
  return { href: url.href, header, expiresAtMs: expiryOf(value, reply) };
}

/** What the server is called. */
export interface BatchPlaces {
  /** The LFS server's URL. */
  readonly server: URL;
  /** What `0.0.0.0` in an href means. */
  readonly base: URL;
}

function objectError(object: LfsObject, error: Readonly<Record<string, unknown>>, url: string): LfsError {
  const status = typeof error['code'] === 'number' ? error['code'] : undefined;
  const message = typeof error['message'] === 'string' ? error['message'].slice(0, 300) : '';
  const kind = status === undefined ? 'server' : kindOfStatus(status);
  const said = [status, message].filter((part) => part !== undefined && part !== '').join(' ');
  const text = kind === 'missing' ? 'the LFS server does not have' : 'the LFS server refuses';
  return new LfsError(kind, `${text} ${object.oid}: ${said || 'no reason given'} (${url})`, { status });
}

function objectOf(
  object: LfsObject,
  entry: Readonly<Record<string, unknown>> | undefined,
  reply: ApiReply,
  places: BatchPlaces,
): BatchObject | LfsError {
  const url = shownUrl(places.server);
  if (entry === undefined) {
    return new LfsError('server', `the LFS server said nothing about ${object.oid} (${url})`);
  }
  if (isRecord(entry['error'])) return objectError(object, entry['error'], url);
  const actions = isRecord(entry['actions']) ? entry['actions'] : {};
  const [download, upload, verify] = ['download', 'upload', 'verify'].map((name) =>
    actionOf(actions[name], reply, places),
  );
  if (download === 'wrong' || upload === 'wrong' || verify === 'wrong') {
    return new LfsError('server', `the LFS server names no usable URL for ${object.oid} (${url})`);
  }
  return { download, upload, verify };
}

/**
 * Reads an answer; undefined where it is none of the batch API. Sizes in it do not count: Mega answers with what the
 * first uploader declared, and the content is verified anyway.
 */
export function parseBatchAnswer(
  reply: ApiReply,
  objects: readonly LfsObject[],
  places: BatchPlaces,
): BatchAnswer | undefined {
  const json = jsonOf(reply);
  if (!isRecord(json) || !Array.isArray(json['objects'])) return undefined;
  const entries = new Map<string, Record<string, unknown>>();
  for (const entry of json['objects'] as unknown[]) {
    const oid = isRecord(entry) && typeof entry['oid'] === 'string' ? entry['oid'].toLowerCase() : undefined;
    if (oid !== undefined && isRecord(entry) && !entries.has(oid)) entries.set(oid, entry);
  }
  return {
    transfer: typeof json['transfer'] === 'string' && json['transfer'] !== '' ? json['transfer'] : 'basic',
    objects: new Map(
      objects.map((object) => [object.oid, objectOf(object, entries.get(object.oid), reply, places)]),
    ),
  };
}
