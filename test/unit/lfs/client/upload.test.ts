// Uploads: what is sent, what is not, what is verified, and what happens when it breaks.
import { appendFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { UploadOutcome } from '../../../../src/lfs/client/lfs-client.ts';
import type { LfsError } from '../../../../src/lfs/lfs-error.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import type { FaultProxy } from '../../../support/fault-proxy.ts';
import { noise } from '../../../support/lfs-repository.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import { serveLfs } from '../../mega-server/lfs/support.ts';
import {
  afterTest,
  askedObjects,
  makeClient,
  objectOf,
  sendJson,
  sourceOf,
  startServer,
  useGitConfig,
} from './support.ts';
import type { Handler, SeenRequest } from './support.ts';

beforeEach(() => useGitConfig());

/** For what happens soon, on a busy machine too. */
const WAIT = { timeout: 20_000 };

const MIB = 1024 * 1024;

async function proxyOf(url: string): Promise<FaultProxy> {
  const proxy = await createFaultProxy(url);
  afterTest(() => proxy.close());
  return proxy;
}

/** An LFS server of the basic transfer; what was PUT is kept by path. */
async function basicServer(options: {
  readonly verify?: boolean;
  readonly has?: readonly string[];
  readonly expiresIn?: () => number;
  readonly onPut?: Handler;
}): Promise<{ url: string; puts: Map<string, Buffer>; requests: SeenRequest[] }> {
  const puts = new Map<string, Buffer>();
  const server = await startServer((request, response) => {
    if (request.method === 'PUT') {
      if (options.onPut !== undefined) return options.onPut(request, response);
      puts.set(request.url.slice(1), request.body);
      return void response.end();
    }
    if (request.url === '/verify') return sendJson(response, 200, {});
    const objects = askedObjects(request).map(({ oid, size }) => {
      if (options.has?.includes(oid) === true || puts.has(oid)) return { oid, size };
      const expiry = options.expiresIn === undefined ? {} : { expires_in: options.expiresIn() };
      const upload = {
        href: `${server.url}/${oid}`,
        header: { 'X-Key': oid, 'Content-Length': '1' },
        ...expiry,
      };
      const verify = { href: `${server.url}/verify`, header: { 'X-Verify': oid } };
      return { oid, size, actions: { upload, ...(options.verify === true ? { verify } : {}) } };
    });
    sendJson(response, 200, { objects });
  });
  return { url: server.url, puts, requests: server.requests };
}

const lfs = (url: string) => ({ lfsUrl: `${url}/lfs` });

describe('the basic transfer', () => {
  test('what the server lacks is sent, and what it has is not even opened', async () => {
    const [present, absent] = [objectOf('present'), objectOf('absent', 'art/a.bin')];
    const server = await basicServer({ has: [present.oid] });
    const { client } = makeClient(server.url, lfs(server.url));
    const sources = [sourceOf(present), sourceOf(absent)] as const;
    const done = new Map<string, UploadOutcome | LfsError>();
    const outcomes = await client.upload(sources, { onDone: (oid, outcome) => done.set(oid, outcome) });
    expect(outcomes).toEqual(
      new Map([
        [present.oid, 'present'],
        [absent.oid, 'sent'],
      ]),
    );
    expect(done).toEqual(outcomes);
    expect(server.puts.get(absent.oid)).toEqual(absent.content);
    expect(sources.map((source) => source.opened)).toEqual([0, 1]);
    const put = server.requests.find((request) => request.method === 'PUT');
    expect(put?.headers).toMatchObject({
      'content-length': String(absent.size),
      'content-type': 'application/octet-stream',
      'x-key': absent.oid,
    });
    expect(put?.headers).not.toHaveProperty('transfer-encoding');
    // The path is a hint for servers that keep readable names.
    expect(askedObjects(server.requests[0]!)[1]).toMatchObject({ path: 'art/a.bin' });
  });

  test('a Mega server takes it', async () => {
    const mega = await createPlainLfs();
    afterTest(() => mega.close());
    const object = objectOf(noise(3 * MIB + 17, 'mega'));
    const { client } = makeClient(mega.url);
    const source = sourceOf(object);
    expect((await client.upload([source])).get(object.oid)).toBe('sent');
    expect(mega.objects.get(object.oid)?.equals(object.content)).toBe(true);
    expect((await client.upload([source])).get(object.oid)).toBe('present');
  });

  test('an object without bytes is sent as well', async () => {
    const server = await basicServer({});
    const empty = objectOf('');
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([sourceOf(empty)])).get(empty.oid)).toBe('sent');
    expect(server.puts.get(empty.oid)).toHaveLength(0);
  });

  test('the same object under two paths is sent once', async () => {
    const server = await basicServer({});
    const object = objectOf('twice');
    const { client } = makeClient(server.url, lfs(server.url));
    await client.upload([sourceOf(object), sourceOf({ ...object, path: 'other.bin' })]);
    expect(server.requests.filter((request) => request.method === 'PUT')).toHaveLength(1);
  });

  test('a few are under way at once, however many there are', async () => {
    const server = await basicServer({});
    const proxy = await proxyOf(server.url);
    proxy.latencyMs = 10;
    const { client } = makeClient(proxy.url, {
      lfsUrl: `${proxy.url}/lfs`,
      concurrency: 3,
    });
    const objects = Array.from({ length: 120 }, (_, index) => objectOf(`object ${index}`));
    const outcomes = await client.upload(objects.map(sourceOf));
    expect([...outcomes.values()].every((outcome) => outcome === 'sent')).toBe(true);
    expect(server.puts.size).toBe(120);
    expect(proxy.maxInFlight).toBeLessThanOrEqual(4);
  });

  test('a server that refuses what it does not know is asked without the hint', async () => {
    const server = await basicServer({});
    const strict = await startServer(async (request, response) => {
      if (askedObjects(request).some((object) => 'path' in object)) {
        return sendJson(response, 422, { message: 'unknown member path' });
      }
      const answer = await fetch(`${server.url}${request.url}`, { method: 'POST', body: request.body });
      sendJson(response, 200, await answer.json());
    });
    const { client } = makeClient(strict.url, lfs(strict.url));
    const object = objectOf('strict');
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
  });

  test('it is verified where the server asks for it, and is not done before', async () => {
    const server = await basicServer({ verify: true });
    const proxy = await proxyOf(server.url);
    const object = objectOf('verified');
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
    const verify = server.requests.at(-1);
    expect(verify).toMatchObject({ method: 'POST', url: '/verify' });
    expect(verify?.headers).toMatchObject({ 'x-verify': object.oid });
    expect(JSON.parse(verify?.body.toString() ?? '')).toEqual({ oid: object.oid, size: object.size });
    expect(proxy.requests).toHaveLength(0);
  });

  test('a verification that fails is a failure of the object alone', async () => {
    const [good, bad] = [objectOf('good'), objectOf('bad')];
    const server = await startServer((request, response) => {
      if (request.method === 'PUT') return void response.end();
      if (request.url === '/verify') {
        const isBad = request.body.includes(bad.oid);
        return sendJson(response, isBad ? 422 : 200, { message: 'wrong size' });
      }
      const objects = askedObjects(request).map(({ oid, size }) => {
        const actions = {
          upload: { href: `${server.url}/${oid}` },
          verify: { href: `${server.url}/verify` },
        };
        return { oid, size, actions };
      });
      sendJson(response, 200, { objects });
    });
    const { client } = makeClient(server.url, lfs(server.url));
    const outcomes = await client.upload([sourceOf(good), sourceOf(bad)]);
    expect(outcomes.get(good.oid)).toBe('sent');
    expect(outcomes.get(bad.oid)).toMatchObject({ kind: 'invalid', status: 422 });
  });
});

describe('content that changes', () => {
  test.each([
    ['other bytes', (file: string) => writeFileSync(file, noise(MIB, 'other'))],
    ['fewer bytes', (file: string) => writeFileSync(file, 'short')],
  ])('%s never arrive as a complete object', async (_name, change) => {
    const server = await basicServer({});
    const object = objectOf(noise(MIB, 'before'));
    const source = sourceOf(object);
    change(source.file);
    const { client } = makeClient(server.url, lfs(server.url));
    let bytes = 0;
    const outcomes = await client.upload([source], { onBytes: (_oid, more) => (bytes += more) });
    expect(outcomes.get(object.oid)).toMatchObject({ kind: 'invalid' });
    expect((outcomes.get(object.oid) as LfsError).message).toContain(
      'file.bin changed while it was uploaded',
    );
    expect(server.puts.size).toBe(0);
    expect(bytes).toBe(0);
    expect(source.opened).toBe(1);
  });

  test('bytes beyond the size do not matter', async () => {
    const server = await basicServer({});
    const object = objectOf('content');
    const source = sourceOf(object);
    appendFileSync(source.file, 'more');
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([source])).get(object.oid)).toBe('sent');
    expect(server.puts.get(object.oid)).toEqual(object.content);
  });

  test('a file that cannot be opened any more fails alone, with its path', async () => {
    const server = await basicServer({});
    const [gone, fine] = [objectOf('gone', 'gone.bin'), objectOf('fine')];
    const { client } = makeClient(server.url, lfs(server.url));
    const broken = {
      ...sourceOf(gone),
      open: () => {
        throw new Error('it was removed');
      },
    };
    const outcomes = await client.upload([broken, sourceOf(fine)]);
    expect(outcomes.get(gone.oid)).toMatchObject({ message: 'cannot read gone.bin: it was removed' });
    expect(outcomes.get(fine.oid)).toBe('sent');
  });
});

describe('failures', () => {
  test.each<[string, Parameters<FaultProxy['inject']>[0]]>([
    ['500', { kind: 'status', status: 500 }],
    ['429 with Retry-After', { kind: 'status', status: 429, retryAfter: '1' }],
    ['a connection that is closed', { kind: 'close' }],
    ['a connection that is reset', { kind: 'close', reset: true }],
    ['an answer that breaks off', { kind: 'status', status: 503 }],
    ['a link that is refused', { kind: 'status', status: 403 }],
  ])('after %s it is sent again, from the start', async (_name, action) => {
    const target = await startServer(() => undefined);
    const proxy = await proxyOf(target.url);
    const puts: Buffer[] = [];
    target.handler = (request, response) => {
      if (request.method === 'PUT') {
        puts.push(request.body);
        return void response.end();
      }
      const objects = askedObjects(request).map(({ oid, size }) => {
        return { oid, size, actions: { upload: { href: `${proxy.url}/put/${oid}` } } };
      });
      sendJson(response, 200, { objects });
    };
    proxy.inject(action, { method: 'PUT', times: 1 });
    const { client } = makeClient(proxy.url, lfs(proxy.url));
    const object = objectOf(noise(MIB, 'again'));
    let bytes = 0;
    const outcomes = await client.upload([sourceOf(object)], { onBytes: (_oid, more) => (bytes += more) });
    expect(outcomes.get(object.oid)).toBe('sent');
    expect(puts.at(-1)?.equals(object.content)).toBe(true);
    expect(bytes).toBe(object.size);
  });

  test('a server that names a time is not asked before it', async () => {
    let refusals = 1;
    const times: number[] = [];
    const object = objectOf('content');
    const server = await basicServer({
      onPut: (_request, response) => {
        times.push(performance.now());
        if (refusals-- > 0) response.writeHead(429, { 'retry-after': '2' }).end();
        else response.end();
      },
    });
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1900);
  });

  test('an upload that the server stops taking is given up after the silence', async () => {
    const object = objectOf(noise(24 * MIB, 'stall'));
    const server = await basicServer({});
    const proxy = await proxyOf(server.url);
    const { client } = makeClient(proxy.url, { ...lfs(proxy.url), silenceTimeoutMs: 2_000, maxAttempts: 1 });
    // The proxy takes what fits into its buffers, and never forwards it.
    const links = await startServer((request, response) => {
      const objects = askedObjects(request).map(({ oid, size }) => {
        return { oid, size, actions: { upload: { href: `${proxy.url}/${oid}` } } };
      });
      sendJson(response, 200, { objects });
    });
    proxy.retarget(links.url);
    proxy.inject({ kind: 'hang' }, { method: 'PUT' });
    const outcomes = await client.upload([sourceOf(object)]);
    expect(outcomes.get(object.oid)).toMatchObject({ kind: 'timeout' });
  });

  test('an expired link is asked for again before anything is sent', async () => {
    let asked = 0;
    const server = await basicServer({ expiresIn: () => (asked++ === 0 ? 0.000_001 : 3600) });
    const { client } = makeClient(server.url, lfs(server.url));
    const object = objectOf('expired');
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
    expect(asked).toBe(2);
    expect(server.requests.filter((request) => request.method === 'PUT')).toHaveLength(1);
  });

  test('a link that is refused again is a refusal', async () => {
    const server = await basicServer({ onPut: (_request, response) => void response.writeHead(403).end() });
    const { client } = makeClient(server.url, lfs(server.url));
    const object = objectOf('refused');
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toMatchObject({
      kind: 'refused',
      status: 403,
    });
    expect(server.requests.filter((request) => request.method === 'PUT')).toHaveLength(2);
  });

  test.each([
    [507, 'quota'],
    [413, 'quota'],
    [422, 'invalid'],
    [501, 'server'],
  ])('the status %i stays: %s, after one attempt', async (status, kind) => {
    const server = await basicServer({
      onPut: (_request, response) => void response.writeHead(status).end(),
    });
    const { client } = makeClient(server.url, lfs(server.url));
    const object = objectOf('refused');
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toMatchObject({ kind, status });
    expect(server.requests.filter((request) => request.method === 'PUT')).toHaveLength(1);
  });

  test('a server that goes away in the middle leaves what was sent, and fails the rest', async () => {
    let asked = 0;
    const server = await startServer((request, response) => {
      if (request.method === 'PUT') return void response.end();
      if (++asked > 1) return sendJson(response, 403, { message: 'no more' });
      const objects = askedObjects(request).map(({ oid, size }) => {
        return { oid, size, actions: { upload: { href: `${server.url}/${oid}` } } };
      });
      return sendJson(response, 200, { objects });
    });
    const { client } = makeClient(server.url, lfs(server.url));
    const objects = Array.from({ length: 150 }, (_, index) => objectOf(`object ${index}`));
    const outcomes = [...(await client.upload(objects.map(sourceOf))).values()];
    expect(outcomes.filter((outcome) => outcome === 'sent')).toHaveLength(100);
    const failed = outcomes.filter((outcome) => outcome !== 'sent');
    expect(failed).toHaveLength(50);
    for (const outcome of failed) expect(outcome).toMatchObject({ kind: 'refused', status: 403 });
    expect(asked).toBe(2);
  });

  test('a link whose headers cannot be sent is no matter of the connection', async () => {
    const object = objectOf('header');
    const server = await startServer((request, response) => {
      const actions = { upload: { href: `${server.url}/x`, header: { 'X-Key': 'secret\nline' } } };
      sendJson(response, 200, {
        objects: askedObjects(request).map(({ oid, size }) => ({ oid, size, actions })),
      });
    });
    const { client } = makeClient(server.url, lfs(server.url));
    const outcome = (await client.upload([sourceOf(object)])).get(object.oid) as LfsError;
    expect(outcome).toMatchObject({ kind: 'invalid' });
    expect(outcome.message).not.toContain('secret');
    expect(server.requests).toHaveLength(1);
  });

  test('a server that cannot be asked rejects as a whole', async () => {
    const proxy = await proxyOf('http://127.0.0.1:9');
    const { client } = makeClient(proxy.url, { ...lfs(proxy.url), maxAttempts: 1 });
    await expect(client.upload([sourceOf(objectOf('x'))])).rejects.toMatchObject({ kind: 'unreachable' });
  });

  test('giving up ends what is under way, and closes the file', async () => {
    const server = await basicServer({ onPut: () => undefined });
    const { client } = makeClient(server.url, lfs(server.url));
    const leaving = new AbortController();
    const upload = client.upload(
      [sourceOf(objectOf('x')), sourceOf(objectOf('y'))],
      {},
      { signal: leaving.signal },
    );
    upload.catch(() => undefined);
    await vi.waitFor(
      () => expect(server.requests.filter((request) => request.method === 'PUT')).toHaveLength(2),
      WAIT,
    );
    leaving.abort();
    await expect(upload).rejects.toMatchObject({ kind: 'aborted' });
  });
});

describe('the tus transfer', () => {
  test('an upload goes on where the last one broke', async () => {
    await using served = await serveLfs();
    const object = objectOf(noise(8 * MIB + 3, 'tus'));
    const proxy = await proxyOf(served.url);
    const { client } = makeClient(served.url, { lfsUrl: `${served.url}/info/lfs` });
    const source = sourceOf(object);
    let sent = 0;
    let reads = 0;
    // The process that uploads dies in the middle of its file.
    const leaving = new AbortController();
    const first = client.upload(
      [source],
      {
        onBytes: (_oid, bytes) => {
          sent += bytes;
          if (++reads === 12) leaving.abort();
        },
      },
      { signal: leaving.signal },
    );
    await expect(first).rejects.toMatchObject({ kind: 'aborted' });
    expect(sent).toBe(0);
    expect(served.files('objects')).toEqual([]);
    const { client: later } = makeClient(proxy.url, { lfsUrl: `${proxy.url}/info/lfs`, maxAttempts: 8 });
    const outcomes = await later.upload([source], { onBytes: (_oid, bytes) => (sent += bytes) });
    expect(outcomes.get(object.oid)).toBe('sent');
    expect(sent).toBe(object.size);
    const patch = proxy.requests.find((request) => request.method === 'PATCH');
    expect(Number(patch?.headers['content-length'])).toBeLessThan(object.size);
    expect(served.files('objects')).toEqual([object.oid]);
  });

  test('a part that is somewhere else than the server said is asked about again', async () => {
    await using served = await serveLfs();
    const object = objectOf(noise(MIB, 'tus'));
    const proxy = await proxyOf(served.url);
    proxy.inject({ kind: 'status', status: 409 }, { method: 'PATCH', times: 1 });
    proxy.inject({ kind: 'status', status: 423 }, { method: 'PATCH', times: 1 });
    const { client } = makeClient(proxy.url, { lfsUrl: `${proxy.url}/info/lfs` });
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
    expect(proxy.requests.filter((request) => request.method === 'HEAD')).toHaveLength(3);
  });

  test('a changed file never completes it', async () => {
    await using served = await serveLfs();
    const object = objectOf(noise(MIB, 'tus'));
    const source = sourceOf(object);
    writeFileSync(source.file, noise(MIB, 'other'));
    const { client } = makeClient(served.url, { lfsUrl: `${served.url}/info/lfs` });
    expect((await client.upload([source])).get(object.oid)).toMatchObject({ kind: 'invalid' });
    expect(served.files('objects')).toEqual([]);
  });

  test('an offset beyond the object, or none, is a wrong answer', async () => {
    const object = objectOf('tus');
    let offset: Record<string, string> = { 'upload-offset': '4' };
    const server = await startServer((request, response) => {
      if (request.method === 'HEAD') return void response.writeHead(200, offset).end();
      const objects = askedObjects(request).map(({ oid, size }) => {
        return { oid, size, actions: { upload: { href: `${server.url}/${oid}` } } };
      });
      sendJson(response, 200, { transfer: 'tus', objects });
    });
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toMatchObject({ kind: 'server' });
    offset = {};
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toMatchObject({ kind: 'server' });
    expect(server.requests.some((request) => request.method === 'PATCH')).toBe(false);
  });

  test('what the server has all of is not sent, but verified', async () => {
    const object = objectOf('tus');
    const server = await startServer((request, response) => {
      if (request.method === 'HEAD')
        return void response.writeHead(200, { 'upload-offset': object.size }).end();
      if (request.url === '/verify') return sendJson(response, 200, {});
      const actions = { upload: { href: `${server.url}/x` }, verify: { href: `${server.url}/verify` } };
      sendJson(response, 200, {
        transfer: 'tus',
        objects: [{ oid: object.oid, size: object.size, actions }],
      });
    });
    const { client } = makeClient(server.url, lfs(server.url));
    expect((await client.upload([sourceOf(object)])).get(object.oid)).toBe('sent');
    expect(server.requests.map((request) => request.method)).toEqual(['POST', 'HEAD', 'POST']);
  });
});
