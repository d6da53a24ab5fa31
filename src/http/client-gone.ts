// Work that ends when nobody waits for its answer any more.
import type { FastifyReply } from 'fastify';
import { RegistryError } from '../mount/registry-error.ts';

/** A signal that aborts when the connection of a request closes before, or after, its answer. */
export function clientGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort(new RegistryError('INTERNAL_ERROR', 'the client went away')));
  return gone.signal;
}
