// The body of an upload, with the limit for silent connections where it belongs.
import type { FastifyRequest } from 'fastify';

/**
 * The body of a request. The server ends connections on which nothing moves; here that holds while the body comes, since
 * hashing what came before, and writing it to the disk afterwards, may take longer than the limit.
 */
export function uploadBody({ raw }: FastifyRequest): AsyncIterable<Uint8Array> {
  const { socket } = raw;
  const silenceMs = socket.timeout ?? 0;
  socket.setTimeout(0);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    socket.setTimeout(silenceMs);
    try {
      for await (const piece of raw) yield piece as Buffer;
    } finally {
      socket.setTimeout(0);
    }
  }
  return pieces();
}
