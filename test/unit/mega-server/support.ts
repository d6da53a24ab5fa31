// Helpers of the embedded server's tests: requests with exact bytes in the URL, and polling.
import { request } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  json<T>(): T;
}

/** Mega's envelope. */
export interface Envelope<T> {
  readonly req_result: boolean;
  readonly data: T;
  readonly err_message: string;
}

/** What a request may have. */
export interface AskOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

/** Sends a request; `target` goes out as it is. */
export function ask(base: string, target: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    const { method = 'GET', headers = {}, body } = options;
    const outgoing = request(
      { hostname, port, path: target, method, headers, agent: false, timeout: 30_000 },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: bytes,
            json: <T>() => JSON.parse(bytes.toString('utf8')) as T,
          });
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Sends JSON. */
export function post(base: string, target: string, value: unknown): Promise<Answer> {
  return ask(base, target, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  });
}

/** A binary string as a query value: each byte that is not plain is escaped. */
export function escapeBytes(binary: string): string {
  return binary.replace(
    /[^\w.~-]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** The data of a successful answer. */
export async function dataOf<T>(base: string, target: string): Promise<T> {
  const answer = await ask(base, target);
  const { req_result, data, err_message } = answer.json<Envelope<T>>();
  if (answer.status !== 200 || !req_result || err_message !== '') {
    throw new Error(`${target}: ${answer.status} ${answer.body.toString('utf8')}`);
  }
  return data;
}

/** Waits until a condition holds; fails after some seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Whether a process exists (not even as a zombie that nobody waited for). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
