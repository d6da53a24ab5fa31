// An HTTP proxy for tests and benchmarks: it forwards to a server, with latency and faults on demand.
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a fault does to a request that it matches. */
export type FaultAction =
  /** Waits before it forwards (on top of the proxy's `latencyMs`). */
  | { readonly kind: 'latency'; readonly ms: number }
  /** Closes the connection before any answer: a clean end, or with `reset` a TCP reset. */
  | { readonly kind: 'close'; readonly reset?: boolean }
  /** Sends the true head and `afterBytes` bytes of the body, then breaks the connection. */
  | { readonly kind: 'die'; readonly afterBytes: number }
  /** Ends the body after `keepBytes`, with a Content-Length that fits: only the content can tell. */
  | { readonly kind: 'truncate'; readonly keepBytes: number }
  /** Flips all bits of the body's byte at `at` (default: its first). */
  | { readonly kind: 'corrupt'; readonly at?: number }
  /** Answers by itself. `retryAfter` is the header's value. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfter?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Sends the head and `afterBytes` of the body, then nothing, with the connection open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Sends the body in pieces of `bytes`, one every `everyMs`. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number };

/** Which requests a fault meets: those whose URL (path and query) matches, `times` of them after `skip` others. */
export interface FaultMatch {
  /** A part of the URL, or a pattern; default every request. */
  readonly path?: string | RegExp;
  readonly method?: string;
  /** Default: without end. */
  readonly times?: number;
  /** Default 0. */
  readonly skip?: number;
}

/** One request as the proxy saw it. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Status that the client was sent; 0 while there was none. */
  status: number;
  /** Bytes of the body that the client was sent. */
  bytes: number;
}

/** A running proxy on 127.0.0.1. */
export interface FaultProxy {
  /** Base URL for clients. It stays the same over `stop` and `start`. */
  readonly url: string;
  /** Milliseconds that every request waits before it is forwarded: an injected round trip. */
  latencyMs: number;
  /** Requests since the start or the last `reset`, in order of arrival. */
  readonly requests: readonly ProxiedRequest[];
  /** Bytes of bodies sent to clients since the start or the last `reset`. */
  readonly bytes: number;
  /** The most requests that were in flight at once. */
  readonly maxInFlight: number;
  /** How many requests had this in their URL. */
  count(path: string | RegExp, method?: string): number;
  /** Adds a fault; the first added that matches wins. Returns a function that takes it away. */
  inject(action: FaultAction, match?: FaultMatch): () => void;
  /** Takes all faults away. */
  heal(): void;
  /** Forgets the counts (faults and latency stay). */
  reset(): void;
  /** Forwards to another server from now on. */
  retarget(url: string): void;
  /** Refuses connections and breaks the open ones, as a server that died. */
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  start(): Promise<void>;
  /** Ends for good. */
  close(): Promise<void>;
}

interface ArmedFault {
  readonly action: FaultAction;
  readonly match: FaultMatch;
  seen: number;
}

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const isMatch = (pattern: string | RegExp | undefined, url: string): boolean =>
  pattern === undefined || (typeof pattern === 'string' ? url.includes(pattern) : pattern.test(url));

const withoutHopByHop = (headers: IncomingMessage['headers']): Record<string, string | string[]> => {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) kept[name] = value;
  }
  return kept;
};

/** Body bytes as a fault lets them through. `break`: destroy the connection; `stall`: keep it open, send no more. */
async function* faultyBody(
  source: AsyncIterable<Buffer>,
  action: FaultAction | undefined,
): AsyncGenerator<Buffer, 'end' | 'break' | 'stall'> {
  const limit =
    action?.kind === 'die' || action?.kind === 'stall'
      ? action.afterBytes
      : action?.kind === 'truncate'
        ? action.keepBytes
        : Infinity;
  const broken = action?.kind === 'corrupt' ? (action.at ?? 0) : -1;
  let at = 0;
  for await (const chunk of source) {
    let piece = at + chunk.length > limit ? chunk.subarray(0, limit - at) : chunk;
    if (broken >= at && broken < at + piece.length) {
      piece = Buffer.from(piece);
      piece[broken - at] = (piece[broken - at] ?? 0) ^ 0xff;
    }
    at += piece.length;
    if (action?.kind === 'drip') {
      for (let from = 0; from < piece.length; from += action.bytes) {
        await sleep(action.everyMs);
        yield piece.subarray(from, from + action.bytes);
      }
    } else if (piece.length > 0) {
      yield piece;
    }
    if (at >= limit) break;
  }
  if (action?.kind === 'die') return 'break';
  return action?.kind === 'stall' ? 'stall' : 'end';
}

/** Resolves when the client took what was written, or went away. */
function drained(to: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      to.off('drain', settle).off('close', settle);
      resolve();
    };
    to.once('drain', settle).once('close', settle);
  });
}

/** Starts a proxy in front of `target` (a base URL, which may have a path). */
export async function createFaultProxy(target: string): Promise<FaultProxy> {
  let targetUrl = new URL(target);
  let agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  let faults: ArmedFault[] = [];
  let requests: ProxiedRequest[] = [];
  let bytes = 0;
  let inFlight = 0;
  let maxInFlight = 0;
  let port = 0;
  let server: Server | undefined;
  const sockets = new Set<Socket>();

  function takeFault(method: string, url: string): FaultAction | undefined {
    for (const fault of faults) {
      if (fault.match.method !== undefined && fault.match.method !== method) continue;
      if (!isMatch(fault.match.path, url)) continue;
      const turn = fault.seen++ - (fault.match.skip ?? 0);
      if (turn >= 0 && turn < (fault.match.times ?? Infinity)) return fault.action;
    }
    return undefined;
  }

  async function forward(incoming: IncomingMessage): Promise<IncomingMessage> {
    const prefix = targetUrl.pathname.replace(/\/$/, '');
    const outgoing = httpRequest({
      host: targetUrl.hostname,
      port: targetUrl.port,
      method: incoming.method ?? 'GET',
      path: prefix + (incoming.url ?? '/'),
      // With the client's Host, so that links in answers lead through the proxy.
      headers: withoutHopByHop(incoming.headers),
      agent,
    });
    const answered = once(outgoing, 'response');
    incoming.pipe(outgoing);
    const [response] = (await answered) as [IncomingMessage];
    return response;
  }

  async function relay(
    source: IncomingMessage,
    to: ServerResponse,
    action: FaultAction | undefined,
    record: ProxiedRequest,
  ): Promise<void> {
    const headers = withoutHopByHop(source.headers);
    const length = Number(source.headers['content-length']);
    if (action?.kind === 'truncate' && Number.isFinite(length)) {
      headers['content-length'] = String(Math.min(length, action.keepBytes));
    }
    record.status = source.statusCode ?? 0;
    to.writeHead(record.status, headers);
    to.flushHeaders();
    const body = faultyBody(source, action);
    for (;;) {
      const step = await body.next();
      if (to.destroyed) return;
      if (step.done === true) {
        if (step.value === 'break') to.socket?.destroySoon();
        else if (step.value === 'end') to.end();
        return;
      }
      record.bytes += step.value.length;
      bytes += step.value.length;
      if (!to.write(step.value)) await drained(to);
    }
  }

  async function answer(incoming: IncomingMessage, to: ServerResponse): Promise<void> {
    const method = incoming.method ?? 'GET';
    const url = incoming.url ?? '/';
    const record: ProxiedRequest = { method, url, headers: incoming.headers, status: 0, bytes: 0 };
    requests.push(record);
    const action = takeFault(method, url);
    const wait = proxy.latencyMs + (action?.kind === 'latency' ? action.ms : 0);
    if (wait > 0) await sleep(wait);
    if (action?.kind === 'hang') return;
    if (action?.kind === 'close') {
      if (action.reset === true) incoming.socket.resetAndDestroy();
      else incoming.socket.destroy();
      return;
    }
    if (action?.kind === 'status') {
      record.status = action.status;
      const retryAfter = action.retryAfter === undefined ? {} : { 'retry-after': action.retryAfter };
      incoming.resume();
      to.writeHead(action.status, { ...action.headers, ...retryAfter }).end(action.body ?? '');
      return;
    }
    await relay(await forward(incoming), to, action, record);
  }

  function onRequest(incoming: IncomingMessage, to: ServerResponse): void {
    maxInFlight = Math.max(maxInFlight, ++inFlight);
    to.once('close', () => inFlight--);
    // A target that is gone, or dies in the middle, shows to the client as a connection that breaks.
    answer(incoming, to).catch(() => to.destroy());
  }

  async function start(): Promise<void> {
    if (server !== undefined) return;
    server = createServer(onRequest);
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  }

  async function stop(): Promise<void> {
    const stopping = server;
    if (stopping === undefined) return;
    server = undefined;
    const closed = once(stopping, 'close');
    stopping.close();
    for (const socket of sockets) socket.destroy();
    agent.destroy();
    agent = new Agent({ keepAlive: true, maxSockets: Infinity });
    await closed;
  }

  const proxy: FaultProxy = {
    latencyMs: 0,
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    get requests() {
      return requests;
    },
    get bytes() {
      return bytes;
    },
    get maxInFlight() {
      return maxInFlight;
    },
    count: (path, method) =>
      requests.filter((seen) => isMatch(path, seen.url) && (method === undefined || seen.method === method))
        .length,
    inject(action, match = {}) {
      const fault: ArmedFault = { action, match, seen: 0 };
      faults.push(fault);
      return () => {
        faults = faults.filter((other) => other !== fault);
      };
    },
    heal() {
      faults = [];
    },
    reset() {
      requests = [];
      bytes = 0;
      maxInFlight = inFlight;
    },
    retarget(url) {
      targetUrl = new URL(url);
    },
    stop,
    start,
    close: stop,
  };
  await start();
  return proxy;
}
