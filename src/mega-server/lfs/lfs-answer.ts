// Answers of the LFS routes: JSON with LFS's own content type, and errors as `{"message"}`.
import type { FastifyReply } from 'fastify';

/** Content type of all JSON of the LFS API. */
export const LFS_JSON = 'application/vnd.git-lfs+json';

/** A request that cannot be done; status, message and further members of the body go to the client. */
export class LfsRequestError extends Error {
  override readonly name = 'LfsRequestError';
  readonly status: number;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(status: number, message: string, members: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.members = members;
  }
}

/** Sends JSON. As bytes, since the framework would add a charset to the content type. */
export function sendLfs(reply: FastifyReply, status: number, value: unknown): FastifyReply {
  return reply
    .code(status)
    .header('content-type', LFS_JSON)
    .send(Buffer.from(JSON.stringify(value)));
}
