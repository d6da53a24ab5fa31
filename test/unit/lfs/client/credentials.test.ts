// Who gets which credentials: nobody but the host that they are meant for.
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { TransferAction } from '../../../../src/lfs/client/lfs-client.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';
import {
  afterTest,
  askedObjects,
  makeClient,
  objectOf,
  readAll,
  sendJson,
  sourceOf,
  startServer,
  useGitConfig,
} from './support.ts';
import type { Handler, ScriptedServer } from './support.ts';

beforeEach(() => useGitConfig());

/** For what happens soon, on a busy machine too. */
const WAIT = { timeout: 20_000 };

const object = objectOf('large');
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

/** An LFS server that wants this authorization, and whose links lead to `href`. */
function guarded(wanted: string | undefined, href: () => string = () => '/objects/x'): Handler {
  return (request, response) => {
    if (wanted !== undefined && request.headers.authorization !== wanted) {
      return sendJson(response, 401, { message: 'who are you?' }, { 'lfs-authenticate': 'Basic realm="x"' });
    }
    if (request.method === 'GET') return void response.end(object.content);
    const objects = askedObjects(request).map(({ oid, size }) => ({
      oid,
      size,
      actions: { download: { href: href(), header: { Authorization: 'action', 'X-Secret': 'action' } } },
    }));
    sendJson(response, 200, { objects });
  };
}

const authorizations = (server: ScriptedServer): (string | undefined)[] =>
  server.requests.map((request) => request.headers.authorization);

/** A credential helper of Git that knows one password, and writes down what it is told. */
function useHelper(password: string, more = ''): { readonly log: () => string } {
  const folder = makeTestFolder();
  afterTest(() => rmSync(folder, { recursive: true, force: true }));
  const log = join(folder, 'log');
  const script = join(folder, 'helper');
  writeFileSync(
    script,
    `#!/bin/sh\n{ echo "$1"; cat; } >> ${log}\n[ "$1" = get ] && { ${more} echo username=ann; echo password=${password}; }\nexit 0\n`,
  );
  chmodSync(script, 0o755);
  useGitConfig(`[credential]\n\thelper = ${script}\n`);
  return { log: () => (existsSync(log) ? readFileSync(log, 'utf8') : '') };
}

describe('where they come from', () => {
  test.each([
    ['a token', { token: 'let-me-in' }, 'Bearer let-me-in'],
    ['a token with a user name', { token: 'ann:pass:word' }, basic('ann:pass:word')],
  ])('%s is sent', async (_name, options, wanted) => {
    const server = await startServer(guarded(wanted));
    const { client } = makeClient(server.url, { ...options, lfsUrl: `${server.url}/lfs` });
    await client.locate([object]);
    expect(authorizations(server)).toEqual([wanted]);
  });

  test('user and password of the URL are sent, and shown nowhere', async () => {
    const server = await startServer(guarded(basic('ann:p@ss')));
    const url = server.url.replace('http://', 'http://ann:p%40ss@');
    const { client, messages } = makeClient(url, { lfsUrl: `${url}/lfs` });
    await client.locate([object]);
    expect(client.url).toBe(`${server.url}/lfs`);
    expect(messages.join()).not.toMatch(/p(%40|@)ss/u);
  });

  test('those of the base URL go to an LFS server of the same host only', async () => {
    const server = await startServer(guarded(undefined));
    const other = await startServer(guarded(undefined));
    const base = server.url.replace('http://', 'http://ann:secret@');
    await makeClient(base, { lfsUrl: `${server.url}/lfs` }).client.locate([object]);
    await makeClient(base, { lfsUrl: `${other.url}/lfs` }).client.locate([object]);
    expect(authorizations(server)).toEqual([basic('ann:secret')]);
    expect(authorizations(other)).toEqual([undefined]);
  });

  test('http.<url>.extraHeader is sent to its URL, the general one to configured hosts', async () => {
    const server = await startServer(guarded(undefined));
    const store = await startServer(guarded(undefined));
    server.handler = guarded(undefined, () => `${store.url}/x`);
    useGitConfig(
      `[http]\n\textraHeader = X-All: 1\n[http "${server.url}/lfs"]\n\textraHeader = X-Lfs: 2\n[http "${server.url}/lfs/no"]\n\textraHeader = X-No: 3\n`,
    );
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs` });
    const located = await client.locate([object]);
    expect(server.requests[0]?.headers).toMatchObject({ 'x-lfs': '2' });
    expect(server.requests[0]?.headers).not.toHaveProperty('x-no');
    await readAll(
      (await client.download(object, located.get(object.oid) as TransferAction, { start: 0 })).chunks,
    );
    expect(store.requests[0]?.headers).not.toHaveProperty('x-all');
    const { client: plain } = makeClient(server.url, { lfsUrl: `${server.url}/elsewhere` });
    await plain.locate([object]);
    expect(server.requests.at(-1)?.headers).toMatchObject({ 'x-all': '1' });
  });
});

describe("Git's credential helpers", () => {
  test('are asked once after a 401, for all who wait, and told that the password was good', async () => {
    const server = await startServer(guarded(basic('ann:right')));
    const { log } = useHelper('right');
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs` });
    await Promise.all([client.locate([object]), client.present([object]), client.present([objectOf('b')])]);
    expect(log().match(/^get$/gmu)).toHaveLength(1);
    expect(log()).toMatch(/get\nprotocol=http\nhost=127\.0\.0\.1:\d+\n/u);
    await vi.waitFor(() => expect(log()).toMatch(/store\n(.*\n)*password=right\n/u), WAIT);
    await client.locate([objectOf('c')]);
    expect(log().match(/^store$/gmu)).toHaveLength(1);
  });

  test('a password that is wrong is taken back, and the error says what to do', async () => {
    const server = await startServer(guarded(basic('ann:right')));
    const { log } = useHelper('wrong');
    const { client, messages } = makeClient(server.url, { lfsUrl: `${server.url}/lfs` });
    const failure = client.locate([object]);
    await expect(failure).rejects.toMatchObject({ kind: 'refused', status: 401 });
    await expect(failure).rejects.toThrow(
      /set lfs_token \(SCORPIO_LFS_TOKEN\), or store a password for 127/u,
    );
    await vi.waitFor(() => expect(log()).toMatch(/erase\n(.*\n)*password=wrong\n/u), WAIT);
    expect(server.requests).toHaveLength(2);
    expect(messages.join()).not.toContain('wrong');
  });

  test('without any, nobody is prompted', async () => {
    const server = await startServer(guarded('Bearer x'));
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs` });
    await expect(client.locate([object])).rejects.toMatchObject({ kind: 'refused' });
    expect(server.requests).toHaveLength(1);
  });

  test('a token that is refused is not followed by a question to them', async () => {
    const server = await startServer(guarded('Bearer right'));
    const { log } = useHelper('right');
    const { client, messages } = makeClient(server.url, {
      lfsUrl: `${server.url}/lfs`,
      token: 'wrong-token',
    });
    const failure = client.locate([object]);
    await expect(failure).rejects.toThrow(/check lfs_token/u);
    await expect(failure).rejects.not.toThrow(/wrong-token/u);
    expect(log()).toBe('');
    expect(messages.join()).not.toContain('wrong-token');
  });
});

describe('links', () => {
  test('on another host get the headers of the link alone', async () => {
    const store = await startServer(guarded(undefined));
    const server = await startServer(guarded('Bearer token', () => `${store.url}/x`));
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs`, token: 'token' });
    const located = await client.locate([object]);
    const action = located.get(object.oid) as TransferAction;
    await readAll((await client.download(object, action, { start: 0 })).chunks);
    expect(store.requests[0]?.headers).toMatchObject({ authorization: 'action', 'x-secret': 'action' });
  });

  test('on the same host without credentials of their own get the ones of the host', async () => {
    const server = await startServer(guarded('Bearer token'));
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs`, token: 'token' });
    const action = { href: `${server.url}/objects/x`, header: {}, expiresAtMs: undefined };
    await readAll((await client.download(object, action, { start: 0 })).chunks);
    expect(authorizations(server)).toEqual(['Bearer token']);
  });
});

describe('redirects', () => {
  const redirecting =
    (to: () => string, status = 307): Handler =>
    (_request, response) =>
      void response.writeHead(status, { location: to() }).end();
  const action = (server: ScriptedServer): TransferAction => ({
    href: `${server.url}/x`,
    header: { Authorization: 'action', 'X-Secret': 'action' },
    expiresAtMs: undefined,
  });

  test.each([301, 302, 307, 308])('%i on the same host keeps the headers', async (status) => {
    const server = await startServer((request, response) => {
      if (request.url === '/x') return redirecting(() => '/y?z', status)(request, response);
      response.end(object.content);
    });
    const { client } = makeClient(server.url);
    const body = await client.download(object, action(server), { start: 0 });
    expect(await readAll(body.chunks)).toEqual(object.content);
    expect(server.requests.map((request) => request.url)).toEqual(['/x', '/y?z']);
    expect(server.requests[1]?.headers).toMatchObject({ authorization: 'action', 'x-secret': 'action' });
  });

  test('to another host a download goes without credentials, link headers, or those of the way back', async () => {
    const other = await startServer((request, response) => {
      if (request.url === '/first') return redirecting(() => `${server.url}/back`)(request, response);
      response.end(object.content);
    });
    const server = await startServer((request, response) => {
      if (request.url === '/back') return void response.end(object.content);
      return redirecting(() => `${other.url.replace('//', '//eve:evil@')}/first`)(request, response);
    });
    const { client } = makeClient(server.url, { token: 'token' });
    const body = await client.download(object, action(server), { start: 0 });
    expect(await readAll(body.chunks)).toEqual(object.content);
    for (const request of [...other.requests, ...server.requests.slice(1)]) {
      expect(request.headers).not.toHaveProperty('authorization');
      expect(request.headers).not.toHaveProperty('x-secret');
    }
    expect(server.requests).toHaveLength(2);
  });

  test('to another host a question and an upload go without credentials', async () => {
    const other = await startServer((request, response) => {
      if (request.method === 'PUT') return void response.end();
      const objects = askedObjects(request).map(({ oid, size }) => ({
        oid,
        size,
        actions: { upload: { href: `${server.url}/put`, header: { 'X-Secret': 'action' } } },
      }));
      sendJson(response, 200, { objects });
    });
    const server = await startServer((request, response) =>
      redirecting(() => `${other.url}${request.url}`)(request, response),
    );
    const { client } = makeClient(server.url, { lfsUrl: `${server.url}/lfs`, token: 'token' });
    const source = sourceOf(object);
    const outcomes = await client.upload([source]);
    expect(outcomes.get(object.oid)).toBe('sent');
    expect(other.requests.map((request) => request.method)).toEqual(['POST', 'PUT']);
    expect(other.requests[1]?.body).toEqual(object.content);
    for (const { headers } of other.requests) {
      expect(headers).not.toHaveProperty('authorization');
      expect(headers).not.toHaveProperty('x-secret');
    }
  });

  test('a refusal at the other host does not make us ask for a password', async () => {
    const other = await startServer((_request, response) => sendJson(response, 401, {}));
    const server = await startServer(redirecting(() => `${other.url}/x`));
    const { log } = useHelper('right');
    const { client } = makeClient(server.url);
    await expect(client.download(object, action(server), { start: 0 })).rejects.toMatchObject({
      status: 401,
    });
    expect(log()).toBe('');
  });

  test('in circles, to nowhere, and to what is not HTTP end', async () => {
    const server = await startServer(redirecting(() => '/x'));
    const { client } = makeClient(server.url);
    await expect(client.download(object, action(server), { start: 0 })).rejects.toThrow(/more than 5 times/u);
    expect(server.requests).toHaveLength(6);
    server.handler = redirecting(() => 'file:///etc/passwd');
    await expect(client.download(object, action(server), { start: 0 })).rejects.toMatchObject({
      kind: 'refused',
    });
    server.handler = (_request, response) => void response.writeHead(302).end();
    await expect(client.download(object, action(server), { start: 0 })).rejects.toThrow(
      /redirects to nowhere/u,
    );
  });
});
