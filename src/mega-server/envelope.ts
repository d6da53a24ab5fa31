// Mega's answers: the JSON envelope around data and around errors.
import type { FastifyReply } from 'fastify';

/** A request cannot be answered with data; the status and message go to the client in an envelope. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const INTERNAL_ERROR = 'Internal server error';

/** Sends bare JSON. As bytes, since the framework would add a charset to the content type, which Mega does not have. */
export function sendJson(reply: FastifyReply, value: unknown): FastifyReply {
  return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(value)));
}

/** Sends data in the envelope. The order of the fields is Mega's. */
export function sendData(reply: FastifyReply, data: unknown): FastifyReply {
  return sendJson(reply, { req_result: true, data, err_message: '' });
}

/** Sends an error in the envelope. As with Mega, messages of errors from 500 on stay inside, but for 503. */
export function sendError(reply: FastifyReply, status: number, message: string): FastifyReply {
  const shown = status < 500 || status === 503 ? message : INTERNAL_ERROR;
  return sendJson(reply.code(status), { req_result: false, data: null, err_message: shown });
}

/** Sends plain text. */
export function sendText(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).header('content-type', 'text/plain; charset=utf-8').send(text);
}

/** A name as JSON can show it: UTF-8, and U+FFFD for bytes that are not. Raw trees carry the true bytes. */
export function shownName(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}
