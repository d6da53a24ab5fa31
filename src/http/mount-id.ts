// The id of a mount in a URL.
import type { FastifyRequest } from 'fastify';
import { RequestError } from './replies.ts';

const UUID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;

/** A route that has one. */
export interface ById {
  Params: { mount_id: string };
}

/** The id, in the form that the registry knows. Throws RequestError 400. */
export function mountIdOf(request: FastifyRequest<ById>): string {
  return readUuid(request.params.mount_id, 'mount_id');
}

/** A UUID with or without hyphens, in its usual form. Throws RequestError 400. */
export function readUuid(text: string, name: string): string {
  if (!UUID.test(text)) {
    throw new RequestError(
      400,
      `Invalid URL: Cannot parse \`${name}\` with value \`${text}\`: UUID parsing failed: expected 32 hexadecimal digits`,
    );
  }
  const digits = text.replaceAll('-', '').toLowerCase();
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join('-');
}
