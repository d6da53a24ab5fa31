// Questions to the batch route: gathered, halved, repeated, kept, and answers that are wrong.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { TransferAction } from '../../../../src/lfs/client/lfs-client.ts';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import type { WantedObject } from '../../../../src/lfs/lfs-object.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import type { FaultProxy } from '../../../support/fault-proxy.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import {
  afterTest,
  askedObjects,
  makeClient,
  objectOf,
  sendJson,
  startServer,
  useGitConfig,
} from './support.ts';
import type { Handler, ScriptedServer } from './support.ts';

beforeEach(() => useGitConfig());

/** For what happens soon, on a busy machine too. */
const WAIT = { timeout: 20_000 };

type Entry = Readonly<Record<string, unknown>>;

const linkTo = (oid: string, more: Entry = {}): Entry => ({ href: `http://h/objects/${oid}`, ...more });

/** Answers each object with an entry, or leaves it out. */
function answering(
  entryOf: (object: WantedObject) => Entry | undefined,
  headers: Readonly<Record<string, string>> = {},
): Handler {
  return (request, response) => {
    const objects = askedObjects(request).flatMap((object) => entryOf(object as WantedObject) ?? []);
    sendJson(response, 200, { transfer: 'basic', objects, hash_algo: 'sha256' }, headers);
  };
}

const found = ({ oid, size }: WantedObject): Entry => ({ oid, size, actions: { download: linkTo(oid) } });
const many = (count: number): WantedObject[] =>
  Array.from({ length: count }, (_, index) => objectOf(`object ${index}`, `${index}.bin`));

async function behindProxy(handler: Handler): Promise<{ server: ScriptedServer; proxy: FaultProxy }> {
  const server = await startServer(handler);
  const proxy = await createFaultProxy(server.url);
  afterTest(() => proxy.close());
  return { server, proxy };
}

const lfs = (server: { readonly url: string }) => ({ lfsUrl: `${server.url}/lfs` });

describe('requests', () => {
  test('callers of the same moment share one, and the same object is asked for once', async () => {
    const server = await startServer(answering(found));
    const { client } = makeClient(server.url, lfs(server));
    const objects = many(20);
    const located = await Promise.all(
      objects.flatMap((object) => [client.locate([object]), client.locate([object])]),
    );
    expect(located).toHaveLength(40);
    expect(server.requests).toHaveLength(1);
    expect(askedObjects(server.requests[0]!)).toEqual(objects.map(({ oid, size }) => ({ oid, size })));
  });

  test('says what the specification and Mega need', async () => {
    const server = await startServer(answering(found));
    const { client } = makeClient(server.url, lfs(server));
    await client.locate(many(1));
    const [request] = server.requests;
    expect(JSON.parse(request?.body.toString() ?? '')).toMatchObject({
      operation: 'download',
      transfers: ['basic'],
      ref: { name: 'refs/heads/main' },
      hash_algo: 'sha256',
    });
    expect(request?.headers).toMatchObject({
      accept: 'application/vnd.git-lfs+json',
      'content-type': 'application/vnd.git-lfs+json',
    });
  });

  test('has at most a hundred objects', async () => {
    const server = await startServer(answering(found));
    const { client } = makeClient(server.url, lfs(server));
    const located = await client.locate(many(250));
    expect(located.size).toBe(250);
    const counts = server.requests.map((request) => askedObjects(request).length);
    expect(counts.toSorted((one, other) => one - other)).toEqual([50, 100, 100]);
  });

  test('is halved when the server finds it too large, and the next ones are smaller at once', async () => {
    const server = await startServer((request, response) => {
      if (askedObjects(request).length > 30) return sendJson(response, 413, { message: 'too many' });
      return answering(found)(request, response);
    });
    const { client } = makeClient(server.url, lfs(server));
    expect((await client.locate(many(100))).size).toBe(100);
    const before = server.requests.length;
    expect((await client.present(many(50))).size).toBe(50);
    expect(server.requests.slice(before).every((request) => askedObjects(request).length <= 25)).toBe(true);
  });

  test('a single object that is too large is a matter of quota', async () => {
    const server = await startServer((_request, response) => sendJson(response, 413, { message: 'no' }));
    const { client } = makeClient(server.url, lfs(server));
    await expect(client.locate(many(1))).rejects.toMatchObject({ kind: 'quota', status: 413 });
  });
});

describe('what is kept', () => {
  test('an answer is kept until it is about to expire, or is forgotten', async () => {
    const server = await startServer(
      answering(({ oid, size }) => ({ oid, size, actions: { download: linkTo(oid, { expires_in: 3600 }) } })),
    );
    const { client } = makeClient(server.url, lfs(server));
    const [object] = many(1) as [WantedObject];
    await client.locate([object]);
    await client.locate([object]);
    expect(server.requests).toHaveLength(1);
    client.forget(object.oid);
    await client.locate([object]);
    expect(server.requests).toHaveLength(2);
    vi.useFakeTimers({ now: Date.now() + 3_590_000, toFake: ['Date'] });
    afterTest(() => vi.useRealTimers());
    await client.locate([object]);
    expect(server.requests).toHaveLength(3);
  });

  test.each([
    ['seconds count before a time', { expires_in: 60, expires_at: '2001-01-01T00:00:00Z' }, 60_000],
    ['the zero time of Go says nothing', { expires_at: '0001-01-01T00:00:00Z' }, undefined],
    ['nonsense says nothing', { expires_at: 'soon', expires_in: 'x' }, undefined],
  ])('%s', async (_name, expiry, afterMs) => {
    const server = await startServer(
      answering(({ oid, size }) => ({ oid, size, actions: { download: linkTo(oid, expiry) } })),
    );
    const { client } = makeClient(server.url, lfs(server));
    const [object] = many(1) as [WantedObject];
    const before = Date.now();
    const action = (await client.locate([object])).get(object.oid);
    if (afterMs === undefined) return expect(action).toMatchObject({ expiresAtMs: undefined });
    const { expiresAtMs } = action as { expiresAtMs: number };
    expect(expiresAtMs).toBeGreaterThanOrEqual(before + afterMs);
    expect(expiresAtMs).toBeLessThanOrEqual(Date.now() + afterMs);
  });

  test('a time is taken by the clock of the server, as its Date header shows it', async () => {
    const ahead = 7 * 3_600_000;
    const server = await startServer((request, response) =>
      answering(
        ({ oid, size }) => {
          const at = new Date(Date.now() + ahead + 60_000).toISOString();
          return { oid, size, actions: { download: linkTo(oid, { expires_at: at }) } };
        },
        { date: new Date(Date.now() + ahead).toUTCString() },
      )(request, response),
    );
    const { client } = makeClient(server.url, lfs(server));
    const [object] = many(1) as [WantedObject];
    const { expiresAtMs } = (await client.locate([object])).get(object.oid) as { expiresAtMs: number };
    expect(Math.abs(expiresAtMs - Date.now() - 60_000)).toBeLessThan(20_000);
  });
});

describe('answers about one object', () => {
  test.each([
    [404, 'missing'],
    [410, 'missing'],
    [403, 'refused'],
    [409, 'conflict'],
    [422, 'invalid'],
    [507, 'quota'],
    [500, 'server'],
  ])('the code %i means %s', async (code, kind) => {
    const server = await startServer(
      answering(({ oid, size }) => ({ oid, size, error: { code, message: 'why' } })),
    );
    const { client } = makeClient(server.url, lfs(server));
    const [object] = many(1) as [WantedObject];
    const error = (await client.locate([object])).get(object.oid);
    expect(error).toMatchObject({ kind, status: code });
    expect((error as Error).message).toContain(object.oid);
    expect((error as Error).message).toContain(`${code} why`);
  });

  test('one that is left out, without a link, or with a link that is none, fails alone', async () => {
    const [absent, linkless, wrong, fine] = many(4) as [
      WantedObject,
      WantedObject,
      WantedObject,
      WantedObject,
    ];
    const server = await startServer(
      answering((object) => {
        if (object.oid === absent.oid) return { ...found(object), oid: '0'.repeat(64) };
        if (object.oid === linkless.oid) return { oid: object.oid, size: object.size };
        const isWrong = object.oid === wrong.oid;
        return isWrong ? { ...found(object), actions: { download: { href: 'ftp://h/x' } } } : found(object);
      }),
    );
    const { client } = makeClient(server.url, lfs(server));
    const located = await client.locate([absent, linkless, wrong, fine]);
    expect(located.get(absent.oid)).toMatchObject({ kind: 'server' });
    expect(located.get(linkless.oid)).toMatchObject({ kind: 'server' });
    expect(located.get(wrong.oid)).toMatchObject({ kind: 'server' });
    expect(located.get(fine.oid)).toMatchObject({ href: `http://h/objects/${fine.oid}` });
  });

  test('a link of a million slashes takes no longer than any other', async () => {
    const server = await startServer((request, response) => {
      if (request.method === 'GET') return void response.writeHead(404).end();
      const [{ oid, size } = { oid: '', size: 0 }] = askedObjects(request);
      const href = `${server.url}/${'/'.repeat(2_000_000)}x`;
      sendJson(response, 200, { objects: [{ oid, size, actions: { download: { href } } }] });
    });
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs` });
    const object = objectOf('x');
    const action = (await client.locate([object])).get(object.oid) as TransferAction;
    // The server refuses a request of that size.
    await expect(client.download(object, action, { start: 0 })).rejects.toBeInstanceOf(LfsError);
  });

  test('another size does not matter: Mega repeats what the first uploader said', async () => {
    const object = objectOf('content');
    const mega = await createPlainLfs();
    afterTest(() => mega.close());
    mega.objects.set(object.oid, object.content);
    mega.announced.set(object.oid, 1);
    const { client } = makeClient(mega.url);
    expect((await client.locate([object])).get(object.oid)).toHaveProperty('href');
  });

  test('links to 0.0.0.0 lead to the server, relative ones below it', async () => {
    const [zero, six, relative] = many(3) as [WantedObject, WantedObject, WantedObject];
    const server = await startServer(
      answering(({ oid, size }) => {
        const href =
          { [zero.oid]: 'http://0.0.0.0:8000/x?y=1', [six.oid]: 'http://[::]:8000/mega/x' }[oid] ?? 'x/y';
        return { oid, size, actions: { download: { href } } };
      }),
    );
    const { client } = makeClient(`${server.url}/mega`, { lfsUrl: `${server.url}/mega/info/lfs` });
    const located = await client.locate([zero, six, relative]);
    expect(located.get(zero.oid)).toMatchObject({ href: `${server.url}/mega/x?y=1` });
    expect(located.get(six.oid)).toMatchObject({ href: `${server.url}/mega/x` });
    expect(located.get(relative.oid)).toMatchObject({ href: `${server.url}/mega/info/lfs/objects/x/y` });
  });
});

describe('answers as a whole', () => {
  test.each([
    ['another hash', { objects: [], hash_algo: 'sha512' }, /sha512 hashes/u],
    ['another kind of transfer', { objects: [], transfer: 'custom' }, /transfers of the kind custom/u],
    ['no list', { message: 'hm' }, /lists no objects/u],
  ])('%s is wrong, after a repeat', async (_name, body, reason) => {
    const server = await startServer((_request, response) => sendJson(response, 200, body));
    const { client } = makeClient(server.url, lfs(server));
    await expect(client.locate(many(1))).rejects.toThrow(reason);
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    [422, 'invalid', 1],
    [403, 'refused', 1],
    [507, 'quota', 1],
    [509, 'quota', 1],
    [500, 'server', 3],
    [503, 'server', 3],
    [429, 'server', 3],
  ])('the status %i is %s after %i attempts', async (status, kind, attempts) => {
    const server = await startServer((_request, response) => sendJson(response, status, { message: 'why' }));
    const { client } = makeClient(server.url, lfs(server));
    await expect(client.locate(many(1))).rejects.toMatchObject({ kind, status });
    expect(server.requests).toHaveLength(attempts);
  });

  test.each<[string, Parameters<FaultProxy['inject']>[0]]>([
    ['429 with Retry-After', { kind: 'status', status: 429, retryAfter: '1' }],
    ['500', { kind: 'status', status: 500 }],
    ['a connection that is closed', { kind: 'close' }],
    ['a connection that is reset', { kind: 'close', reset: true }],
    ['a body that breaks off', { kind: 'die', afterBytes: 10 }],
    ['a body that is cut', { kind: 'truncate', keepBytes: 10 }],
  ])('after %s another attempt succeeds', async (_name, action) => {
    const { proxy } = await behindProxy(answering(found));
    proxy.inject(action, { times: 1 });
    const { client } = makeClient(proxy.url, lfs(proxy));
    const begin = performance.now();
    expect((await client.locate(many(1))).size).toBe(1);
    expect(proxy.requests).toHaveLength(2);
    if ('retryAfter' in action) expect(performance.now() - begin).toBeGreaterThan(990);
  });

  test('a Retry-After beyond a minute is not waited for, but told', async () => {
    const { proxy } = await behindProxy(answering(found));
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    proxy.inject({ kind: 'status', status: 503, retryAfter: date });
    const { client } = makeClient(proxy.url, lfs(proxy));
    const error: unknown = await client.locate(many(1)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'server', status: 503 });
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(3_500_000);
    expect(proxy.requests).toHaveLength(1);
  });

  test.each<[string, Parameters<FaultProxy['inject']>[0]]>([
    ['never answers', { kind: 'hang' }],
    ['falls silent', { kind: 'stall', afterBytes: 5 }],
    ['goes on for ever', { kind: 'drip', bytes: 1, everyMs: 50 }],
  ])('a server that %s is a matter of time', async (_name, action) => {
    const { proxy } = await behindProxy(answering(found));
    proxy.inject(action);
    const { client } = makeClient(proxy.url, { ...lfs(proxy), silenceTimeoutMs: 300 });
    await expect(client.locate(many(1))).rejects.toMatchObject({ kind: 'timeout' });
  });
});

describe('giving up', () => {
  test('one caller gives up, and the others get the answer', async () => {
    const { proxy } = await behindProxy(answering(found));
    proxy.latencyMs = 50;
    const { client } = makeClient(proxy.url, lfs(proxy));
    const [object] = many(1) as [WantedObject];
    const leaving = new AbortController();
    const left = client.locate([object], { signal: leaving.signal });
    const stayed = client.locate([object]);
    leaving.abort();
    await expect(left).rejects.toMatchObject({ kind: 'aborted' });
    expect((await stayed).size).toBe(1);
    await expect(client.locate(many(2), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      kind: 'aborted',
    });
  });

  test('closing the client ends what it asks, and what it waits for', async () => {
    const { proxy } = await behindProxy(answering(found));
    proxy.inject({ kind: 'hang' });
    const { client } = makeClient(proxy.url, lfs(proxy));
    const asked = client.locate(many(1));
    asked.catch(() => undefined);
    await vi.waitFor(() => expect(proxy.requests).toHaveLength(1), WAIT);
    await client.close();
    await expect(asked).rejects.toMatchObject({ kind: 'aborted' });
    await expect(client.locate(many(3))).rejects.toMatchObject({ kind: 'aborted' });
  });

  test('what nobody waits for any more makes no noise when it fails', async () => {
    const { proxy } = await behindProxy(answering(found));
    proxy.inject({ kind: 'status', status: 403 });
    proxy.latencyMs = 30;
    const { client } = makeClient(proxy.url, lfs(proxy));
    const leaving = new AbortController();
    const left = client.locate(many(3), { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ kind: 'aborted' });
    await sleep(60);
  });
});
