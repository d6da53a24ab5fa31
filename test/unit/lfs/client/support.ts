// A small LFS server whose answers the tests decide, and clients of it.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { openSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { createLfsClient } from '../../../../src/lfs/client/create-lfs-client.ts';
import type { LfsClientOptions } from '../../../../src/lfs/client/create-lfs-client.ts';
import type { LfsClient, UploadSource } from '../../../../src/lfs/client/lfs-client.ts';
import type { WantedObject } from '../../../../src/lfs/lfs-object.ts';
import { makeTestFolder } from '../../../support/test-folder.ts';

/** A request as the server got it, its body read whole. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Answers a request. */
export type Handler = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

/** A server on 127.0.0.1. */
export interface ScriptedServer {
  readonly url: string;
  readonly requests: SeenRequest[];
  handler: Handler;
}

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Registers what is to be undone after the test. */
export function afterTest(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

/** Starts a server that the test's end stops. */
export async function startServer(handler: Handler): Promise<ScriptedServer> {
  const requests: SeenRequest[] = [];
  const http = createServer((incoming, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of incoming) chunks.push(chunk as Buffer);
      } catch {
        return;
      }
      const seen = {
        method: incoming.method ?? '',
        url: incoming.url ?? '',
        headers: incoming.headers,
        body: Buffer.concat(chunks),
      };
      requests.push(seen);
      await server.handler(seen, response);
    })();
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  afterTest(() => {
    http.close();
    http.closeAllConnections();
  });
  const server = { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, requests, handler };
  return server;
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/vnd.git-lfs+json', ...headers });
  response.end(JSON.stringify(body));
}

/** Objects that a batch request is about. */
export function askedObjects(request: SeenRequest): { oid: string; size: number; path?: string }[] {
  const { objects } = JSON.parse(request.body.toString()) as { objects: { oid: string; size: number }[] };
  return objects;
}

/** A client of a server, which the test's end closes. Tests wait for nothing long. */
export function makeClient(
  baseUrl: string,
  options: Partial<LfsClientOptions> = {},
): { readonly client: LfsClient; readonly messages: string[] } {
  const messages: string[] = [];
  const client = createLfsClient({
    baseUrl,
    path: '/project',
    connectTimeoutMs: 20_000,
    silenceTimeoutMs: 20_000,
    maxAttempts: 3,
    concurrency: 4,
    log: (message) => messages.push(message),
    warn: (message) => messages.push(`warning: ${message}`),
    ...options,
  });
  afterTest(() => client.close());
  return { client, messages };
}

/** An object with its content. */
export interface TestObject extends WantedObject {
  readonly content: Buffer;
}

/** Describes content. */
export function objectOf(content: Buffer | string, path = 'file.bin'): TestObject {
  const bytes = Buffer.from(content);
  const oid = createHash('sha256').update(bytes).digest('hex');
  return { oid, size: bytes.byteLength, path, content: bytes };
}

/** All bytes of a body. */
export async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** Something to upload, from a file; `opened` counts how often it was opened. */
export function sourceOf(object: TestObject): UploadSource & { opened: number; readonly file: string } {
  const folder = makeTestFolder();
  afterTest(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'content');
  writeFileSync(file, object.content);
  const source = {
    oid: object.oid,
    size: object.size,
    path: object.path,
    file,
    opened: 0,
    open() {
      source.opened++;
      return openSync(file, 'r');
    },
  };
  return source;
}

/** Keeps the user's configuration of Git out of the test, or puts another in its place. */
export function useGitConfig(content = ''): void {
  const folder = makeTestFolder();
  const file = join(folder, 'gitconfig');
  writeFileSync(file, content);
  const before = { ...process.env };
  process.env['GIT_CONFIG_GLOBAL'] = file;
  process.env['GIT_CONFIG_NOSYSTEM'] = '1';
  afterTest(() => {
    for (const name of ['GIT_CONFIG_GLOBAL', 'GIT_CONFIG_NOSYSTEM']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    rmSync(folder, { recursive: true, force: true });
  });
}
