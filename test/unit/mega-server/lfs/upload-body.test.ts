// The limit for silent connections during an upload.
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { expect, test } from 'vitest';
import { uploadBody } from '../../../../src/mega-server/lfs/upload-body.ts';

const SILENCE_MS = 200;

/** A server that works for long before and after it reads a body; resolves with what a client gets. */
async function upload(
  write: (send: (text: string) => void, end: () => void) => void,
): Promise<number | string> {
  const server = createServer(async (raw, response) => {
    const body = uploadBody({ raw } as FastifyRequest);
    await sleep(3 * SILENCE_MS);
    let bytes = 0;
    try {
      for await (const piece of body) bytes += piece.length;
    } catch {
      return;
    }
    await sleep(3 * SILENCE_MS);
    response.end(String(bytes));
  }).listen(0, '127.0.0.1');
  server.timeout = SILENCE_MS;
  await once(server, 'listening');
  try {
    return await new Promise((resolve) => {
      const outgoing = request(
        { port: (server.address() as AddressInfo).port, method: 'PUT' },
        (incoming) => {
          incoming.setEncoding('utf8').on('data', (text: string) => resolve(text));
        },
      );
      outgoing.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      write(
        (text) => outgoing.write(text),
        () => outgoing.end(),
      );
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('work before and after the body may take longer than a silent connection may stay', async () => {
  const answer = await upload((send, end) => {
    send('some bytes');
    end();
  });
  expect(answer).toBe('10');
});

test('a body that stops coming ends the connection', async () => {
  expect(await upload((send) => send('some bytes'))).toBe('ECONNRESET');
});
