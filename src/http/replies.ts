// What goes wrong on the way to a handler, and in one, as HTTP answers. Clients that were written against ScorpioFS see
// what its framework answers: plain text for requests that cannot be understood, an error body for those that fail.
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RegistryError, toRegistryError, type RegistryErrorCode } from '../mount/registry-error.ts';
import type { Logger } from '../util/logger.ts';

/** Largest request body, in bytes. */
export const MAX_BODY_BYTES: number = 2 * 1024 * 1024;

const statusOf: Record<RegistryErrorCode, number> = {
  INVALID_REQUEST: 400,
  NOT_FOUND: 404,
  FUSE_ERROR: 500,
  LFS_SERVER_ERROR: 502,
  INTERNAL_ERROR: 500,
  SHUTDOWN: 503,
  UNSUPPORTED: 501,
};

/** What is said whether the framework notices it or a handler. */
const textOf: Readonly<Record<number, string>> = {
  413: 'Failed to buffer the request body: length limit exceeded',
  415: 'Expected request with `Content-Type: application/json`',
};

/** A request that cannot be understood: answered with this status and the message as plain text. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Answers errors of handlers and of the framework. */
export function answerErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply) => {
    if (error instanceof RegistryError) return sendError(reply, error);
    if ('statusCode' in error && error.statusCode !== undefined && error.statusCode < 500)
      return sendText(reply, error.statusCode, error.message);
    log.error('a request failed', { method: request.method, url: request.url, error });
    log.debug('where it failed', { error });
    return sendError(reply, toRegistryError(error));
  });
}

/** Answers what the framework refuses before there is a route: a URL with a broken escape. */
export function answerFrameworkError(
  error: FastifyError,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  void sendText(reply, error.statusCode ?? 400, error.message);
}

function sendText(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply
    .code(status)
    .type('text/plain; charset=utf-8')
    .send(textOf[status] ?? message);
}

function sendError(reply: FastifyReply, error: RegistryError): FastifyReply {
  return reply.code(statusOf[error.code]).send({ error: error.message, code: error.code });
}

/**
 * Answers unknown routes with an empty 404, and known ones that have no such method with 405 and what they allow. Call
 * it before the routes are added.
 */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const routes: { pattern: RegExp; methods: readonly string[] }[] = [];
  app.addHook('onRoute', (route) => {
    const pattern = new RegExp(`^${route.url.replaceAll(/:[^/]+/g, '[^/]+').replace(/\*$/, '.+')}$`);
    routes.push({ pattern, methods: [route.method].flat() });
  });
  app.addHook('onRequest', async (request, reply) => {
    // To the router, nothing at all is a name, too.
    if (Object.values(request.params ?? {}).includes('')) reply.callNotFound();
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = new Set(
      routes.filter((route) => route.pattern.test(path)).flatMap((route) => route.methods),
    );
    if (methods.size === 0) return reply.code(404).send();
    return reply
      .code(405)
      .header('allow', [...methods].join(','))
      .send();
  });
}
