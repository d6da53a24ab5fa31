// The LFS server of a Mega without anything beyond the real one, with all that is odd about it; objects in memory.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A lock as Mega keeps it. */
interface PlainLock {
  readonly id: string;
  readonly path: string;
  readonly locked_at: string;
  readonly owner: null;
}

/** A server that runs on 127.0.0.1. */
export interface PlainLfs {
  /** Base URL for clients, without a prefix of the API. */
  readonly url: string;
  /** Host in the links of batch answers: Mega puts its listen address there. Default the one of `url`. */
  linkHost: string;
  /** Whether the routes are also at the root, as before December 2025; default only below `/info/lfs`, `/api/v1/lfs`. */
  hasRootRoutes: boolean;
  /** All requests: method and URL. */
  readonly requests: string[];
  /** What was uploaded, by oid; not checked by anybody. */
  readonly objects: Map<string, Buffer>;
  /** Sizes that were announced first, by oid: batch answers repeat them. */
  readonly announced: Map<string, number>;
  /** Locks by name of the branch. */
  readonly locks: Map<string, readonly PlainLock[]>;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const JSON_TYPE = 'application/vnd.git-lfs+json';
const LAYOUTS = /^(?:\/.*)?\/info\/lfs(?=\/)|^\/api\/v1\/lfs(?=\/)/u;

const failed = (status: number, message: string): Answer => ({
  status,
  body: { message: `Something went wrong in Git LFS: ${message}` },
});

const UNREADABLE: Answer = { status: 422, body: { message: 'Failed to deserialize the JSON body' } };

/** Eight digits below nine, as Mega draws them. */
const newLockId = (): string => Array.from({ length: 8 }, () => randomInt(9)).join('');

/** Starts a server without objects. */
export async function createPlainLfs(): Promise<PlainLfs> {
  const objects = new Map<string, Buffer>();
  const announced = new Map<string, number>();
  const locks = new Map<string, readonly PlainLock[]>();
  const requests: string[] = [];

  function batch(body: Record<string, unknown>): Answer {
    // A member that is missing is an error, also where the specification has a default.
    if (!['operation', 'transfers', 'objects', 'hash_algo'].every((name) => name in body)) return UNREADABLE;
    const isUpload = body['operation'] === 'upload';
    const answered = (body['objects'] as { oid: string; size: number }[]).map(({ oid, size }) => {
      const isKnown = announced.has(oid);
      if (isUpload && !isKnown) announced.set(oid, size);
      const shown = { oid, size: announced.get(oid) ?? size };
      const error = { code: 404, message: 'Not found' };
      if (!isUpload && !isKnown) return { ...shown, error };
      const hasBytes = objects.has(oid);
      if (!isUpload && !hasBytes) return { ...shown, authenticated: true, error };
      if (isUpload && hasBytes) return { ...shown, authenticated: true };
      const link = {
        href: `http://${server.linkHost}/info/lfs/objects/${oid}`,
        header: { Accept: 'application/vnd.git-lfs' },
        expires_at: new Date(Date.now() + 86_400_000).toISOString().replace('Z', '456789+00:00'),
      };
      return { ...shown, authenticated: true, actions: { [isUpload ? 'upload' : 'download']: link } };
    });
    return { status: 200, body: { transfer: 'basic', objects: answered, hash_algo: 'sha256' } };
  }

  function listLocks(query: URLSearchParams): Answer {
    const all = locks.get(query.get('refspec') ?? '') ?? [];
    const path = query.get('path') ?? '';
    return page(
      all.filter((lock) => path === '' || lock.path === path),
      query.get('cursor'),
      query.get('limit'),
      'locks',
    );
  }

  function page(
    all: readonly PlainLock[],
    cursor: string | null | undefined,
    limit: string | number | null | undefined,
    name: 'locks' | 'ours',
  ): Answer {
    const from =
      cursor === null || cursor === undefined || cursor === '' ? 0 : all.findIndex(({ id }) => id === cursor);
    if (from < 0) return failed(500, 'Lookup operation failed!');
    const size = Number(limit ?? 0) > 0 ? Number(limit) : 100;
    const rest = all.slice(from);
    // The one lock that is left beyond a page is never found by way of the cursor.
    const next = size + 1 < rest.length ? (rest[size]?.id ?? '') : '';
    const theirs = name === 'ours' ? { theirs: [] } : {};
    return { status: 200, body: { [name]: rest.slice(0, size), ...theirs, next_cursor: next } };
  }

  function changeLocks(path: string, body: Record<string, unknown>): Answer {
    const ref = (body['ref'] as { name?: string } | null | undefined)?.name;
    if (ref === undefined) return UNREADABLE;
    const all = locks.get(ref) ?? [];
    if (path === '/locks/verify') {
      return page(all, body['cursor'] as string | null, body['limit'] as number | null, 'ours');
    }
    const id = /^\/locks\/([^/]+)\/unlock$/u.exec(path)?.[1];
    if (id !== undefined) {
      const lock = all.find((lock) => lock.id === id);
      if (lock === undefined) return failed(500, 'Delete operation failed!');
      locks.set(
        ref,
        all.filter((other) => other !== lock),
      );
      return { status: 200, body: { lock, message: '' } };
    }
    if (typeof body['path'] !== 'string') return UNREADABLE;
    if (all.some((lock) => lock.path === body['path'])) return failed(500, 'Lock already exist');
    const at = new Date().toISOString().replace('Z', '+00:00');
    const lock: PlainLock = { id: newLockId(), path: body['path'], locked_at: at, owner: null };
    locks.set(ref, [...all, lock]);
    return { status: 201, body: { lock, message: '' } };
  }

  function object(
    request: IncomingMessage,
    response: ServerResponse,
    oid: string,
    body: Buffer,
  ): Answer | undefined {
    if (request.method === 'PUT') {
      if (!announced.has(oid)) return failed(404, 'Not found ');
      objects.set(oid, body);
      response.writeHead(200, { 'content-type': JSON_TYPE }).end();
      return undefined;
    }
    const content = objects.get(oid);
    if (content === undefined) return failed(404, `LFS object not found: ${oid}`);
    // Without a length, and whole whatever the range is.
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    response.write(content);
    response.end();
    return undefined;
  }

  function answer(request: IncomingMessage, response: ServerResponse, body: Buffer): Answer | undefined {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://mega');
    const isServed = server.hasRootRoutes || LAYOUTS.test(pathname);
    const path = pathname.replace(LAYOUTS, '');
    const json = () => JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    const oid = /^\/objects\/([^/]+)$/u.exec(path)?.[1];
    if (isServed && request.method === 'POST') {
      if (path === '/objects/batch') return batch(json());
      if (/^\/locks(?:\/|$)/u.test(path)) return changeLocks(path, json());
    } else if (isServed && path === '/locks') {
      return listLocks(searchParams);
    } else if (isServed && oid !== undefined && (request.method === 'GET' || request.method === 'PUT')) {
      return object(request, response, oid, body);
    }
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('Operation not supported');
    return undefined;
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    requests.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answered = answer(request, response, Buffer.concat(chunks));
    if (answered === undefined) return;
    response.writeHead(answered.status, { 'content-type': JSON_TYPE }).end(JSON.stringify(answered.body));
  }

  const http = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const host = `127.0.0.1:${(http.address() as AddressInfo).port}`;
  const server: PlainLfs = {
    url: `http://${host}`,
    linkHost: host,
    hasRootRoutes: false,
    requests,
    objects,
    announced,
    locks,
    async close() {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
  return server;
}
