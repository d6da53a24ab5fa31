// Where the LFS server is: configured, named by .lfsconfig, or at one of the usual places.
import { beforeEach, describe, expect, test } from 'vitest';
import { LfsError } from '../../../../src/lfs/lfs-error.ts';
import { parseLfsConfig } from '../../../../src/lfs/client/lfs-config.ts';
import { createFaultProxy } from '../../../support/fault-proxy.ts';
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

const object = objectOf('large');

/** Has an LFS server below a path, which knows all objects. */
function lfsAt(prefix: string): Handler {
  return (request, response) => {
    if (request.url !== `${prefix}/objects/batch`) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Operation not supported');
      return;
    }
    const objects = askedObjects(request).map(({ oid, size }) => ({
      oid,
      size,
      actions: { download: { href: `${prefix}/objects/${oid}` } },
    }));
    sendJson(response, 200, { objects });
  };
}

const urls = ({ requests }: ScriptedServer): string[] => requests.map((request) => request.url);

describe('the usual places', () => {
  test.each(['/project.git/info/lfs', '/info/lfs', '/api/v1/lfs', ''])(
    'a server at %j is found by the question that was to be asked, and remembered',
    async (prefix) => {
      const server = await startServer(lfsAt(prefix));
      const { client, messages } = makeClient(server.url);
      await client.locate([object]);
      expect(urls(server).at(-1)).toBe(`${prefix}/objects/batch`);
      const asked = server.requests.length;
      const other = objectOf('other');
      const located = await client.locate([other]);
      expect(located.get(other.oid)).toMatchObject({ href: `${server.url}${prefix}/objects/${other.oid}` });
      expect(server.requests).toHaveLength(asked + 1);
      expect(client.url).toBe(server.url + prefix);
      expect(messages).toEqual([]);
    },
  );

  test('they are below the path of the base URL, and the folder is encoded', async () => {
    const server = await startServer(lfsAt('/mega/api/v1/lfs'));
    const { client } = makeClient(`${server.url}/mega/`, { path: '/art work/ü' });
    await client.locate([object]);
    expect(urls(server)).toEqual([
      '/mega/art%20work/%C3%BC.git/info/lfs/objects/batch',
      '/mega/info/lfs/objects/batch',
      '/mega/api/v1/lfs/objects/batch',
    ]);
  });

  test('a web page is no LFS server', async () => {
    const lfs = lfsAt('/info/lfs');
    const server = await startServer((request, response) => {
      if (request.url.startsWith('/info/lfs')) return lfs(request, response);
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>{"objects":[]}</html>');
    });
    const { client } = makeClient(server.url);
    await client.locate([object]);
    expect(client.url).toBe(`${server.url}/info/lfs`);
  });

  test('where there is none, the error names all places, and is not asked for again at once', async () => {
    const server = await startServer((_request, response) => void response.writeHead(404).end());
    const { client } = makeClient(server.url);
    const failure = client.locate([object]);
    await expect(failure).rejects.toThrow(/no LFS server found .*api\/v1\/lfs.*set lfs_url/u);
    await expect(client.locate([object])).rejects.toMatchObject({ kind: 'server' });
    expect(server.requests).toHaveLength(4);
  });

  test('a server that is down is unreachable, and is found once it is there', async () => {
    const server = await startServer(lfsAt('/info/lfs'));
    const proxy = await createFaultProxy(server.url);
    afterTest(() => proxy.close());
    await proxy.stop();
    const { client } = makeClient(proxy.url, { maxAttempts: 2 });
    await expect(client.locate([object])).rejects.toMatchObject({ kind: 'unreachable' });
    await proxy.start();
    await client.locate([object]);
    expect(client.url).toBe(`${proxy.url}/info/lfs`);
  });

  test('a server that fails for a while is not passed over', async () => {
    const server = await startServer(lfsAt('/info/lfs'));
    const proxy = await createFaultProxy(server.url);
    afterTest(() => proxy.close());
    proxy.inject({ kind: 'status', status: 503 }, { path: '/info/lfs', times: 2 });
    const { client } = makeClient(proxy.url, { path: '/' });
    await client.locate([object]);
    expect(client.url).toBe(`${proxy.url}/info/lfs`);
  });

  test('one search serves all who ask at that time', async () => {
    const server = await startServer(lfsAt('/info/lfs'));
    const { client } = makeClient(server.url);
    await Promise.all([
      client.present([object]),
      client.present([object]),
      client.locks.list().catch(() => []),
    ]);
    const places = urls(server).filter((url) => url === '/project.git/info/lfs/objects/batch');
    expect(places).toHaveLength(1);
  });
});

describe('a configured URL', () => {
  test('is used as it is', async () => {
    const server = await startServer(lfsAt('/deep/lfs'));
    const { client } = makeClient('http://127.0.0.1:9', { lfsUrl: `${server.url}/deep/lfs/` });
    await client.locate([object]);
    expect(urls(server)).toEqual(['/deep/lfs/objects/batch']);
  });

  test('that leads nowhere falls back to the usual places of its host, with a warning', async () => {
    const mega = await createPlainLfs();
    afterTest(() => mega.close());
    const { client, messages } = makeClient(mega.url, { lfsUrl: `${mega.url}/lfs` });
    const located = await client.locate([object]);
    expect(located.get(object.oid)).toMatchObject({ kind: 'missing' });
    expect(client.url).toBe(`${mega.url}/project.git/info/lfs`);
    expect(messages).toEqual([
      `warning: there is no LFS server at ${mega.url}/lfs (lfs_url); using the one at ${client.url}`,
    ]);
  });

  test('that is none is told of without its password', () => {
    expect(() => makeClient('http://h', { lfsUrl: 'ssh://me:secret@h/x' })).toThrow(
      'lfs_url must be a URL that begins with http:// or https://',
    );
  });

  test('is rewritten as url.*.insteadOf says', async () => {
    const server = await startServer(lfsAt('/real/lfs'));
    useGitConfig(`[url "${server.url}/real/"]\n\tinsteadOf = https://lfs.example/\n`);
    const { client } = makeClient('http://127.0.0.1:9', { lfsUrl: 'https://lfs.example/lfs' });
    await client.locate([object]);
    expect(urls(server)).toEqual(['/real/lfs/objects/batch']);
  });
});

describe('.lfsconfig', () => {
  const configOf = (text: string) => () => Buffer.from(text);

  test('names the server, which gets no credentials of the base URL when it is on another host', async () => {
    const server = await startServer(lfsAt('/lfs'));
    const base = 'http://me:secret@127.0.0.1:9';
    const { client } = makeClient(base, {
      token: 'token',
      lfsConfig: configOf(`[lfs]\n\turl = ${server.url}/lfs\n`),
    });
    await client.locate([object]);
    expect(urls(server)).toEqual(['/lfs/objects/batch']);
    expect(server.requests[0]?.headers.authorization).toBeUndefined();
  });

  test('that was made to keep its reader busy does not', () => {
    // Each line took half a minute, in which nothing else was done.
    for (const line of [
      `[${' '.repeat(60_000)}`,
      `[lfs "${'\\a'.repeat(20_000)}`,
      `url${' '.repeat(60_000)}x`,
    ]) {
      expect(parseLfsConfig(Buffer.from(`[lfs]\nurl = http://h/x\n${line}`)).url?.href).toBe('http://h/x');
    }
  });

  test('that cannot be read is not taken for one that is not there', async () => {
    const server = await startServer(lfsAt('/info/lfs'));
    let failures = 1;
    const { client } = makeClient(server.url, {
      lfsConfig: () => {
        if (failures-- > 0) throw new Error('the server is away');
        return undefined;
      },
    });
    await expect(client.locate([object])).rejects.toMatchObject({ kind: 'unreachable' });
    expect(server.requests).toHaveLength(0);
    await client.locate([object]);
    expect(client.url).toBe(`${server.url}/info/lfs`);
  });

  test('is not asked for where the configuration names the server', async () => {
    const server = await startServer(lfsAt('/lfs'));
    const { client } = makeClient(server.url, {
      lfsUrl: `${server.url}/lfs`,
      lfsConfig: () => {
        throw new Error('nobody needs it');
      },
    });
    await client.locate([object]);
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ['[lfs]\nurl = https://h/a', 'https://h/a'],
    ['[lfs]\n  url="https://h/a#b" ; why', 'https://h/a#b'],
    ['[LFS] URL = https://h/a # why', 'https://h/a'],
    ['[lfs]\nurl = https://h/a\n[lfs]\nurl = https://h/b', 'https://h/b'],
    ['\uFEFF[lfs]\r\nurl = https://h/a\r\n', 'https://h/a'],
    ['[lfs]\nurl = https://h/\\\na', 'https://h/a'],
    ['[lfs]\nurl = https://me:secret@h/a', 'https://h/a'],
    ['[lfs "https://x"]\nurl = https://h/a', undefined],
    ['[remote "origin"]\nlfsurl = https://h/a', undefined],
    ['url = https://h/a', undefined],
    ['[lfs]\n# url = https://h/a', undefined],
    ['', undefined],
  ])('%j names %s', (text, url) => {
    expect(parseLfsConfig(Buffer.from(text))).toEqual({
      url: url === undefined ? undefined : new URL(url),
      problem: undefined,
    });
  });

  test.each(['ssh://h/a', 'file:///etc', 'git@h:a', '!sh -c x', 'http://'])(
    'the URL %j is ignored, with a warning',
    (url) => {
      const { url: found, problem } = parseLfsConfig(Buffer.from(`[lfs]\nurl = ${url}`));
      expect(found).toBeUndefined();
      expect(problem).toContain('is ignored');
    },
  );
});

test('an error of the finder is an LfsError', async () => {
  const server = await startServer((_request, response) => sendJson(response, 403, { message: 'no' }));
  const { client } = makeClient(server.url);
  const error: unknown = await client.locate([object]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(LfsError);
  expect(error).toMatchObject({ kind: 'refused', status: 403 });
});
