// The client when the server is dead, slow, lying or busy.
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMegaUpstream } from '../../../../src/upstream/mega/mega-upstream.ts';
import type { MegaUpstream, MegaUpstreamOptions } from '../../../../src/upstream/mega/mega-upstream.ts';
import { UpstreamError } from '../../../../src/upstream/upstream-error.ts';
import { hashObject } from '../../../../src/util/git-hash.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import type { FaultAction, FaultProxy } from '../../../support/fault-proxy.ts';
import { createPlainMega, file } from '../../../support/plain-mega.ts';
import type { PlainMega } from '../../../support/plain-mega.ts';
import { collect, failureOf, kindOf, noise, optionsFor } from './support.ts';

const CONTENT = noise(300_000);
const ID = hashObject('blob', CONTENT);

let mega: PlainMega;
let proxy: FaultProxy;
let upstream: MegaUpstream;
const opened: MegaUpstream[] = [];

function connect(changes: Partial<MegaUpstreamOptions> = {}): MegaUpstream {
  const made = createMegaUpstream(optionsFor(proxy.url, changes));
  opened.push(made);
  return made;
}

async function fetchContent(from: MegaUpstream = upstream): Promise<Buffer> {
  const sink = collect();
  await from.fetchBlob(ID, sink);
  return sink.content();
}

/** Runs it, and tells how many milliseconds that took. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

beforeEach(async () => {
  mega = await createPlainMega();
  mega.commit({ big: file(CONTENT), small: file('s'), src: { a: file('a') } }, 1);
  proxy = await createFaultProxy(mega.url);
  upstream = connect();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
  await proxy.close();
  await mega.close();
});

test('a server that is dead is reported in words, after all attempts', async () => {
  await proxy.stop();
  const error = await failureOf(upstream.resolve('/'));
  expect(error.kind).toBe('unreachable');
  expect(error.message).toBe(
    `the server at ${proxy.url} does not answer: connection refused ` +
      `(GET ${proxy.url}/api/v1/capabilities, tried 3 times)`,
  );
  expect(upstream.counters).toMatchObject({ requests: 3, repeats: 2, failures: 1 });
  await proxy.start();
  expect(await upstream.resolve('/src')).toMatchObject({ path: '/src', time: 1 });
});

test('a name that does not exist and a port of nobody are unreachable', async () => {
  for (const url of ['http://scorpio.invalid/', 'http://127.0.0.1:1/']) {
    const other = createMegaUpstream(optionsFor(url, { maxAttempts: 1 }));
    const error = await failureOf(
      other.fetchTree(ID, { snapshot: { commit: ID, time: 0, tree: ID, path: '/' }, path: '' }),
    );
    expect(error.kind).toBe('unreachable');
    expect(error.message).toContain('does not answer: ');
    await other.close();
  }
});

test.each<[string, FaultAction]>([
  ['closes the connection', { kind: 'close' }],
  ['resets the connection', { kind: 'close', reset: true }],
  ['dies in the middle', { kind: 'die', afterBytes: 100_000 }],
  ['cuts the body short with a length that fits', { kind: 'truncate', keepBytes: 1000 }],
  ['sends an empty body', { kind: 'truncate', keepBytes: 0 }],
  ['sends a wrong byte', { kind: 'corrupt', at: 200_000 }],
  ['answers 500', { kind: 'status', status: 500 }],
  ['answers 503 with nonsense', { kind: 'status', status: 503, body: '<html>' }],
  ['answers 429', { kind: 'status', status: 429, body: 'busy' }],
])('a server that %s once is asked again', async (_what, action) => {
  proxy.inject(action, { path: '/file/blob/', times: 1 });
  expect((await fetchContent()).equals(CONTENT)).toBe(true);
  expect(proxy.count('/file/blob/')).toBe(2);
  expect(upstream.counters.repeats).toBe(1);
  expect(upstream.counters.failures).toBe(0);
});

test.each<[string, FaultAction, string, number]>([
  ['closes connections', { kind: 'close' }, 'unreachable', 3],
  ['dies at once in every body', { kind: 'die', afterBytes: 10 }, 'unreachable', 3],
  ['sends wrong bytes', { kind: 'corrupt' }, 'corrupt', 2],
  ['cuts every body short', { kind: 'truncate', keepBytes: 10 }, 'corrupt', 2],
  ['answers 500', { kind: 'status', status: 500 }, 'server', 3],
  ['answers 403', { kind: 'status', status: 403 }, 'refused', 1],
  ['answers 409', { kind: 'status', status: 409 }, 'refused', 1],
  ['answers 404', { kind: 'status', status: 404 }, 'not-found', 1],
])('a server that always %s fails in its own kind', async (_what, action, kind, requests) => {
  proxy.inject(action, { path: '/file/blob/' });
  expect(await kindOf(fetchContent())).toBe(kind);
  expect(proxy.count('/file/blob/')).toBe(requests);
  proxy.heal();
  expect((await fetchContent()).equals(CONTENT)).toBe(true);
});

test('each repeat begins its sink anew, and what it wrote before is void', async () => {
  proxy.inject({ kind: 'die', afterBytes: 70_000 }, { path: '/file/blob/', times: 2 });
  const sink = collect();
  await upstream.fetchBlob(ID, sink);
  expect(sink.begins).toEqual([CONTENT.length, CONTENT.length, CONTENT.length]);
  expect(sink.content().equals(CONTENT)).toBe(true);
});

test('an error of the sink passes through as it is, and nothing is repeated', async () => {
  const full = Object.assign(new Error('disk full'), { errno: 28 });
  const failing = {
    begin: () => undefined,
    write: () => {
      throw full;
    },
  };
  await expect(upstream.fetchBlob(ID, failing)).rejects.toBe(full);
  expect(proxy.count('/file/blob/')).toBe(1);
});

test('Retry-After is heeded, and one that is too long ends the request', async () => {
  proxy.inject({ kind: 'status', status: 429, retryAfter: '1' }, { path: '/file/blob/', times: 1 });
  expect(await timed(() => fetchContent())).toBeGreaterThan(990);
  const inTwoSeconds = new Date(Date.now() + 2000).toUTCString();
  proxy.inject({ kind: 'status', status: 503, retryAfter: inTwoSeconds }, { path: '/file/blob/', times: 1 });
  expect(await timed(() => fetchContent())).toBeGreaterThan(500);
  proxy.inject({ kind: 'status', status: 429, retryAfter: '3600' }, { path: '/file/blob/' });
  const error = await failureOf(fetchContent());
  expect([error.kind, error.status]).toEqual(['server', 429]);
  proxy.inject({ kind: 'status', status: 429, retryAfter: '20' }, { path: '/latest-commit' });
  expect(await timed(() => failureOf(upstream.resolve('/')))).toBeLessThan(2500);
}, 20_000);

test('a server that takes requests and never answers runs into the deadline, once', async () => {
  const hasty = connect({ requestTimeoutMs: 300 });
  await hasty.batchesSizes();
  proxy.inject({ kind: 'hang' });
  for (const work of [
    () => hasty.resolve('/'),
    () => hasty.fetchSizes([ID]),
    () => hasty.fetchBlob(ID, collect()),
  ]) {
    let error: UpstreamError | undefined;
    const took = await timed(async () => {
      error = await failureOf(work());
    });
    expect(error?.kind).toBe('timeout');
    expect(error?.message).toContain('did not answer within 0.3 s');
    expect(took).toBeGreaterThan(250);
    expect(took).toBeLessThan(4000);
  }
  expect(proxy.requests).toHaveLength(4);
});

test('the deadline of metadata counts all attempts together', async () => {
  const hasty = connect({ requestTimeoutMs: 600, maxAttempts: 50 });
  await hasty.batchesSizes();
  proxy.inject({ kind: 'status', status: 500 });
  // Fifty attempts would take minutes.
  expect(await timed(() => failureOf(hasty.resolve('/')))).toBeLessThan(3000);
  proxy.heal();
  proxy.inject({ kind: 'drip', bytes: 4, everyMs: 100 }, { path: '/latest-commit' });
  expect(await kindOf(hasty.resolve('/'))).toBe('timeout');
});

test('a slow blob is not late as long as bytes arrive', async () => {
  const hasty = connect({ requestTimeoutMs: 400 });
  proxy.inject({ kind: 'drip', bytes: 40_000, everyMs: 100 }, { path: '/file/blob/' });
  let content: Buffer | undefined;
  const took = await timed(async () => {
    content = await fetchContent(hasty);
  });
  expect(content?.equals(CONTENT)).toBe(true);
  expect(took).toBeGreaterThan(700);
});

test('silence in the middle of a blob is repeated when it got on, else it is a timeout', async () => {
  const hasty = connect({ requestTimeoutMs: 300 });
  proxy.inject({ kind: 'stall', afterBytes: 100_000 }, { path: '/file/blob/', times: 1 });
  expect((await fetchContent(hasty)).equals(CONTENT)).toBe(true);
  proxy.inject({ kind: 'stall', afterBytes: 100_000 }, { path: '/file/blob/' });
  const error = await failureOf(fetchContent(hasty));
  expect(error.kind).toBe('timeout');
  expect(error.message).toContain('fell silent for 0.3 s');
}, 20_000);

test('no connection within its time is a timeout', async () => {
  // A network that is reserved for documentation: packets to it go nowhere. Where there is no route at all the system
  // says so at once.
  const far = createMegaUpstream(
    optionsFor('http://192.0.2.1:81', { connectTimeoutMs: 300, maxAttempts: 1 }),
  );
  const took = await timed(async () => {
    expect(['timeout', 'unreachable']).toContain(await kindOf(far.fetchBlob(ID, collect())));
  });
  expect(took).toBeLessThan(2500);
  await far.close();
});

test('a caller that gives up ends its request at once, wherever it is, and leaves no listener behind', async () => {
  await upstream.batchesSizes();
  proxy.inject({ kind: 'hang' }, { path: '/latest-commit' });
  proxy.inject({ kind: 'stall', afterBytes: 10_000 }, { path: '/file/blob/' });
  proxy.inject({ kind: 'status', status: 429, retryAfter: '20' }, { path: '/tree/dir-hash' });
  const works: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal) => upstream.resolve('/', { signal }),
    (signal) => upstream.fetchBlob(ID, collect(), { signal }),
    (signal) => upstream.fetchBlobs([ID], collect, () => undefined, { signal }),
  ];
  for (const work of works) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('Ctrl-C')), 80);
    const took = await timed(async () => expect(await kindOf(work(abort.signal))).toBe('aborted'));
    expect(took).toBeLessThan(1500);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    expect(await kindOf(work(abort.signal))).toBe('aborted');
  }
});

test('one caller that gives up takes nothing from another that waits for the capabilities too', async () => {
  proxy.inject({ kind: 'latency', ms: 150 }, { path: '/capabilities' });
  const abort = new AbortController();
  const first = kindOf(upstream.fetchSizes([ID], { signal: abort.signal }));
  const second = upstream.fetchSizes([ID]);
  setTimeout(() => abort.abort(), 30);
  expect(await first).toBe('aborted');
  expect(await second).toEqual(new Map([[ID, CONTENT.length]]));
  expect(proxy.count('/capabilities')).toBe(1);
});

test('close ends what runs and what waits, quickly', async () => {
  const narrow = connect({ concurrency: 1 });
  proxy.inject({ kind: 'hang' });
  const works = [narrow.resolve('/'), narrow.fetchBlob(ID, collect()), narrow.fetchBlob(ID, collect())];
  const kinds = Promise.all(works.map(kindOf));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await timed(() => narrow.close())).toBeLessThan(1500);
  expect(await kinds).toEqual(['aborted', 'aborted', 'aborted']);
  expect(await kindOf(narrow.fetchBlob(ID, collect()))).toBe('aborted');
});

test('a demand goes before all prefetches that wait, and never behind a full house of them', async () => {
  const narrow = connect({ concurrency: 2 });
  proxy.latencyMs = 40;
  const ids = Array.from({ length: 8 }, (_, index) => {
    const content = Buffer.from(`blob ${index}`);
    const id = hashObject('blob', content);
    mega.blobs.set(id, content);
    return id;
  });
  const ends: string[] = [];
  const prefetches = ids.map((id, index) =>
    narrow.fetchBlob(id, collect(), { priority: 'prefetch' }).then(() => ends.push(`prefetch ${index}`)),
  );
  const demand = narrow.fetchBlob(ID, collect()).then(() => ends.push('demand'));
  await Promise.all([...prefetches, demand]);
  expect(ends.indexOf('demand')).toBeLessThanOrEqual(1);
  expect(proxy.maxInFlight).toBeLessThanOrEqual(2);
});

test('many blobs: what fails for one blob stays with it, a dead server fails all that are left', async () => {
  const ids = [ID, hashObject('blob', Buffer.from('s')), hashObject('blob', Buffer.from('a'))];
  proxy.inject({ kind: 'corrupt' }, { path: ID });
  const ends = new Map<string, string>();
  const done = (id: string, error: Error | undefined): void => {
    expect(ends.has(id)).toBe(false);
    ends.set(id, error instanceof UpstreamError ? error.kind : 'fine');
  };
  await upstream.fetchBlobs(ids, collect, done);
  expect(ids.map((id) => ends.get(id))).toEqual(['corrupt', 'fine', 'fine']);
  ends.clear();
  await proxy.stop();
  expect(await kindOf(upstream.fetchBlobs(ids, collect, done))).toBe('unreachable');
  expect(ends.size).toBe(3);
});

test('a server in trouble when it is asked what it can do still serves the rest', async () => {
  proxy.inject({ kind: 'status', status: 500 }, { path: '/capabilities' });
  expect(await upstream.resolve('/src')).toMatchObject({ time: 1 });
  expect(await upstream.batchesSizes()).toBe(false);
  expect(proxy.count('/capabilities')).toBe(3);
});

test('what arrives is counted and told', async () => {
  let told = 0;
  const messages: string[] = [];
  const chatty = connect({ onBytes: (bytes) => (told += bytes), log: (message) => messages.push(message) });
  proxy.inject({ kind: 'die', afterBytes: 65_000 }, { path: '/file/blob/', times: 1 });
  await fetchContent(chatty);
  expect(told).toBe(chatty.counters.bytesReceived);
  expect(told).toBeGreaterThan(CONTENT.length);
  expect(messages.some((message) => message.includes('broke off its answer'))).toBe(true);
});
