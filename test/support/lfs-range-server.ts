// A small LFS server for tests of downloads: objects in memory or made up, served by ranges, with oddities on demand.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

const PIECE_BYTES = 64 * 1024;

/** Bytes that a server has: given, or made up for each range. */
export type ServedContent =
  | Buffer
  | { readonly size: number; readonly read: (start: number, end: number) => Buffer };

/** A server that runs on 127.0.0.1. */
export interface LfsRangeServer extends AsyncDisposable {
  readonly url: string;
  /** What `href`s begin with; default `url`. */
  linkBase: string;
  readonly objects: Map<string, ServedContent>;
  /** Ignores Range headers, as Mega does. */
  ignoresRange: boolean;
  /** Sends a Content-Range that is off by so many bytes. */
  rangeShift: number;
  /** Actions are refused (403) unless they come from the latest batch answer of their object. */
  expireActions(): void;
  /** Batch requests so far, and requests for objects with their Range header. */
  batches: number;
  readonly downloads: { readonly oid: string; readonly range: string | undefined }[];
}

/** The oid of a content. */
export function oidOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function sizeOf(content: ServedContent): number {
  return Buffer.isBuffer(content) ? content.length : content.size;
}

function* pieces(content: ServedContent, start: number, end: number): Generator<Buffer> {
  for (let from = start; from < end; from += PIECE_BYTES) {
    const to = Math.min(end, from + PIECE_BYTES);
    yield Buffer.isBuffer(content) ? content.subarray(from, to) : content.read(from, to);
  }
}

/** Starts a server without objects. */
export async function createLfsRangeServer(): Promise<LfsRangeServer> {
  const objects = new Map<string, ServedContent>();
  const downloads: { oid: string; range: string | undefined }[] = [];
  let generation = 0;

  function batch(body: string): string {
    server.batches++;
    const wanted = (JSON.parse(body) as { objects: { oid: string; size: number }[] }).objects;
    const answered = wanted.map(({ oid, size }) =>
      objects.has(oid)
        ? { oid, size, actions: { download: { href: `${server.linkBase}/data/${oid}?g=${generation}` } } }
        : { oid, size, error: { code: 404, message: 'no such object' } },
    );
    return JSON.stringify({ transfer: 'basic', objects: answered });
  }

  function download(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const oid = url.pathname.slice('/data/'.length);
    const content = objects.get(oid);
    downloads.push({ oid, range: request.headers.range });
    if (url.searchParams.get('g') !== String(generation)) {
      response.writeHead(403).end('expired');
      return;
    }
    if (content === undefined) {
      response.writeHead(404).end('gone');
      return;
    }
    const size = sizeOf(content);
    const [, first, last] = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? '') ?? [];
    const isPartial = first !== undefined && !server.ignoresRange;
    const start = isPartial ? Number(first) : 0;
    const end = isPartial && last !== '' ? Math.min(size, Number(last) + 1) : size;
    if (start >= size && size > 0) {
      response.writeHead(416).end();
      return;
    }
    const shifted = start + server.rangeShift;
    response.writeHead(isPartial ? 206 : 200, {
      'content-length': end - start,
      ...(isPartial ? { 'content-range': `bytes ${shifted}-${end - 1}/${size}` } : {}),
    });
    Readable.from(pieces(content, start, end), { objectMode: false }).pipe(response);
  }

  const http = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://lfs');
    if (request.method === 'GET' && url.pathname.startsWith('/data/')) {
      download(request, response, url);
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (!url.pathname.endsWith('/objects/batch')) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' });
      response.end(batch(Buffer.concat(chunks).toString('utf8')));
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const server: LfsRangeServer = {
    url,
    linkBase: url,
    objects,
    ignoresRange: false,
    rangeShift: 0,
    expireActions: () => void generation++,
    batches: 0,
    downloads,
    async [Symbol.asyncDispose]() {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
  return server;
}
