// An HTTP server that answers as the daemon does, with what a test tells it to.
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** A request that it got. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
}

/** What it answers to `METHOD /path`: a status and a JSON value or plain text, made of the body; `silence`: nothing. */
export type Answers = Record<string, [number, unknown] | ((body: unknown) => [number, unknown]) | 'silence'>;

/** The server. */
export interface FakeDaemon {
  readonly address: string;
  readonly seen: readonly Seen[];
  readonly answers: Answers;
  /** Writes `daemon.json`, as the daemon of `storePath` does. */
  announce(storePath: string, pid?: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts it. */
export async function createFakeDaemon(answers: Answers): Promise<FakeDaemon> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { method = '', url = '' } = request;
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      seen.push({ method, url, body });
      const answer = answers[`${method} ${url}`] ?? [404, { error: 'no such route', code: 'NOT_FOUND' }];
      if (answer === 'silence') return;
      const [status, value] = typeof answer === 'function' ? answer(body) : answer;
      response.writeHead(status).end(typeof value === 'string' ? value : JSON.stringify(value));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    seen,
    answers,
    async announce(storePath, pid = process.pid) {
      const startedAt = new Date().toISOString();
      await writeFile(
        join(storePath, 'daemon.json'),
        JSON.stringify({ pid, address, startedAt, version: '0.1.0' }),
      );
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
