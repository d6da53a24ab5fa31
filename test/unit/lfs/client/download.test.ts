// One attempt to download: what the answer must say of itself, and what breaks.
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import type { DownloadBody, LfsClient, TransferAction } from '../../../../src/lfs/client/lfs-client.ts';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
import type { FaultProxy } from '../../../support/fault-proxy.ts';
import { createPlainLfs } from '../../../support/plain-lfs.ts';
import { serveLfs } from '../../mega-server/lfs/support.ts';
import { afterTest, makeClient, objectOf, readAll, startServer, useGitConfig } from './support.ts';
import type { Handler } from './support.ts';

beforeEach(() => useGitConfig());

const object = objectOf('0123456789'.repeat(1000));
const { size } = object;

function actionOf(found: TransferAction | LfsError | undefined): TransferAction {
  if (found === undefined || found instanceof LfsError) throw found ?? new Error('nothing was said');
  return found;
}

async function served(
  handler: Handler,
  silenceTimeoutMs = 20_000,
): Promise<{
  readonly download: (start?: number, end?: number, signal?: AbortSignal) => Promise<DownloadBody>;
  readonly proxy: FaultProxy;
  readonly client: LfsClient;
}> {
  const server = await startServer(handler);
  const proxy = await createFaultProxy(server.url);
  afterTest(() => proxy.close());
  const { client } = makeClient(proxy.url, { silenceTimeoutMs });
  const action = { href: `${proxy.url}/x`, header: {}, expiresAtMs: undefined };
  return {
    download: (start = 0, end, signal) => client.download(object, action, { start, end }, { signal }),
    proxy,
    client,
  };
}

/** Serves the object, with ranges. */
const whole: Handler = (request, response) => {
  const range = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? '');
  if (range === null) return void response.writeHead(200, { 'content-length': size }).end(object.content);
  const start = Number(range[1]);
  const end = range[2] === '' ? size - 1 : Number(range[2]);
  const headers = { 'content-range': `bytes ${start}-${end}/${size}`, 'content-length': end - start + 1 };
  response.writeHead(206, headers).end(object.content.subarray(start, end + 1));
};

/** Answers a range with this Content-Range, and the bytes that it names. */
const ranged =
  (contentRange: string, status = 206): Handler =>
  (_request, response) => {
    const [, start = '0', end = '0'] = /(\d+)-(\d+)/u.exec(contentRange) ?? [];
    response.writeHead(status, { 'content-range': contentRange });
    response.end(object.content.subarray(Number(start), Number(end) + 1));
  };

describe('what comes', () => {
  test('all of an object, from Mega, which announces no length', async () => {
    const mega = await createPlainLfs();
    afterTest(() => mega.close());
    mega.objects.set(object.oid, object.content);
    mega.announced.set(object.oid, size);
    const { client } = makeClient(mega.url);
    const located = await client.locate([object]);
    const body = await client.download(object, actionOf(located.get(object.oid)), { start: 5000 });
    // Mega knows no ranges.
    expect(body.start).toBe(0);
    expect(await readAll(body.chunks)).toEqual(object.content);
    expect(client.url).toBe(`${mega.url}/project.git/info/lfs`);
  });

  test('a range from the embedded server', async () => {
    await using lfs = await serveLfs();
    await lfs.put(object.content);
    const { client } = makeClient(lfs.url);
    const located = await client.locate([object]);
    const action = actionOf(located.get(object.oid));
    const rest = await client.download(object, action, { start: 9_990 });
    expect(rest.start).toBe(9_990);
    expect((await readAll(rest.chunks)).toString()).toBe('0123456789');
    const middle = await client.download(object, action, { start: 13, end: 15 });
    expect((await readAll(middle.chunks)).toString()).toBe('345');
  });

  test('no encoding is asked for, and no range where all is wanted', async () => {
    const { download, proxy } = await served(whole);
    await readAll((await download()).chunks);
    expect(proxy.requests[0]?.headers).toMatchObject({ 'accept-encoding': 'identity' });
    expect(proxy.requests[0]?.headers).not.toHaveProperty('range');
    await readAll((await download(0, 0)).chunks);
    expect(proxy.requests[1]?.headers).toMatchObject({ range: 'bytes=0-0' });
  });

  test('a range may end before what was asked for: the caller asks for the rest', async () => {
    const { download } = await served(ranged(`bytes 10-19/${size}`));
    expect((await readAll((await download(10)).chunks)).toString()).toBe('0123456789');
  });

  test('an object without bytes', async () => {
    const empty = objectOf('');
    const { proxy, client } = await served((_request, response) => void response.end());
    const action = { href: `${proxy.url}/x`, header: {}, expiresAtMs: undefined };
    expect(await readAll((await client.download(empty, action, { start: 0 })).chunks)).toHaveLength(0);
  });
});

describe('answers that are wrong', () => {
  test.each([
    ['another start', `bytes 11-19/${size}`],
    ['more than was asked for', `bytes 10-30/${size}`],
    ['another total', 'bytes 10-19/20'],
    ['an end before its start', `bytes 10-9/${size}`],
    ['no unit', `10-19/${size}`],
    ['nothing', ''],
  ])('a Content-Range with %s', async (_name, contentRange) => {
    const { download } = await served(ranged(contentRange));
    await expect(download(10, 19)).rejects.toMatchObject({ kind: 'server' });
  });

  test('an unknown total is no fault', async () => {
    const { download } = await served(ranged('bytes 10-19/*'));
    expect(await readAll((await download(10, 19)).chunks)).toHaveLength(10);
  });

  test.each([
    ['shorter', size - 1],
    ['longer', size + 1],
  ])('a body that is announced as %s than the object', async (_name, length) => {
    const { download } = await served((_request, response) => {
      response.writeHead(200, { 'content-length': length }).end(Buffer.alloc(length));
    });
    await expect(download()).rejects.toThrow(new RegExp(`has ${length} bytes, not ${size}`, 'u'));
  });

  test('a body without a length that ends early or goes on', async () => {
    let length = size - 1;
    const { download } = await served((_request, response) => {
      response.write(Buffer.alloc(length));
      response.end();
    });
    await expect(readAll((await download()).chunks)).rejects.toMatchObject({ kind: 'unreachable' });
    length = size + 1;
    await expect(readAll((await download()).chunks)).rejects.toMatchObject({ kind: 'server' });
  });

  test('a body that is compressed', async () => {
    const { download } = await served((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(object.content));
    });
    await expect(download()).rejects.toThrow(/encoded as gzip/u);
  });

  test.each([
    [401, 'refused'],
    [403, 'refused'],
    [404, 'missing'],
    [410, 'missing'],
    [416, 'server'],
    [429, 'server'],
    [500, 'server'],
    [204, 'server'],
  ])('the status %i means %s', async (status, kind) => {
    const { download } = await served((_request, response) => {
      response.writeHead(status, { 'retry-after': '7', 'content-type': 'text/plain' });
      response.end(status === 204 ? '' : 'because');
    });
    const failure = download(10);
    await expect(failure).rejects.toMatchObject({ kind, status, retryAfterMs: 7_000 });
    if (status !== 204) await expect(failure).rejects.toThrow(`${status}: because`);
  });

  test('after a refusal the object is asked for anew', async () => {
    await using lfs = await serveLfs();
    await lfs.put(object.content);
    const proxy = await createFaultProxy(lfs.url);
    afterTest(() => proxy.close());
    const { client } = makeClient(proxy.url);
    const action = actionOf((await client.locate([object])).get(object.oid));
    proxy.inject({ kind: 'status', status: 403 }, { method: 'GET', times: 1 });
    await expect(client.download(object, action, { start: 0 })).rejects.toMatchObject({ status: 403 });
    const again = actionOf((await client.locate([object])).get(object.oid));
    expect(proxy.count('/objects/batch', 'POST')).toBe(2);
    await readAll((await client.download(object, again, { start: 0 })).chunks);
  });

  test('a link that has expired is not used', async () => {
    const { client, proxy } = await served(whole);
    const action = { href: `${proxy.url}/x`, header: {}, expiresAtMs: Date.now() - 1 };
    await expect(client.download(object, action, { start: 0 })).rejects.toMatchObject({ kind: 'refused' });
    expect(proxy.requests).toHaveLength(0);
  });
});

describe('connections', () => {
  test.each<[string, Parameters<FaultProxy['inject']>[0], string]>([
    ['is closed before the answer', { kind: 'close' }, 'unreachable'],
    ['is reset before the answer', { kind: 'close', reset: true }, 'unreachable'],
    ['never answers', { kind: 'hang' }, 'timeout'],
  ])('one that %s', async (_name, action, kind) => {
    const { download, proxy } = await served(whole, 1_000);
    proxy.inject(action);
    await expect(download()).rejects.toMatchObject({ kind });
  });

  test.each<[string, Parameters<FaultProxy['inject']>[0], string]>([
    ['breaks in the middle', { kind: 'die', afterBytes: 1000 }, 'unreachable'],
    ['falls silent in the middle', { kind: 'stall', afterBytes: 1000 }, 'timeout'],
  ])('one that %s gives what came, and then fails', async (_name, action, kind) => {
    const { download, proxy } = await served(whole, 1_000);
    proxy.inject(action);
    let received = 0;
    const reading = (async () => {
      for await (const chunk of (await download()).chunks) received += chunk.byteLength;
    })();
    await expect(reading).rejects.toMatchObject({ kind });
    expect(received).toBe(1000);
  });

  test('a server that is not there is unreachable', async () => {
    const { download, proxy } = await served(whole);
    await proxy.stop();
    await expect(download()).rejects.toMatchObject({ kind: 'unreachable' });
  });

  test('the caller gives up, in words or by leaving', async () => {
    const { download, proxy } = await served(whole);
    proxy.inject({ kind: 'stall', afterBytes: 100 });
    const leaving = new AbortController();
    const body = await download(0, undefined, leaving.signal);
    setTimeout(() => leaving.abort(), 20);
    await expect(readAll(body.chunks)).rejects.toMatchObject({ kind: 'aborted' });
    const other = await download();
    setTimeout(() => other.cancel(), 20);
    expect((await readAll(other.chunks)).length).toBeLessThanOrEqual(100);
    const third = await download();
    for await (const chunk of third.chunks) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
    const hanging = new AbortController();
    proxy.heal();
    proxy.inject({ kind: 'hang' });
    setTimeout(() => hanging.abort(), 20);
    await expect(download(0, undefined, hanging.signal)).rejects.toMatchObject({ kind: 'aborted' });
  });
});
