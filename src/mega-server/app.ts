// The HTTP side of the embedded server: routes, limits, and how errors are told.
import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { registerGitRoutes } from './git-http/routes.ts';
import { type LfsServerOptions, registerLfsRoutes } from './lfs/lfs-routes.ts';
import { withoutRepositoryPath } from './lfs/lfs-url.ts';
import { RequestError, sendError, sendText } from './envelope.ts';
import type { RepositoryView } from './repository-view.ts';
import { registerCommitRoutes } from './routes/commits.ts';
import { registerFileRoutes } from './routes/file.ts';
import { registerObjectRoutes } from './routes/object.ts';
import { registerStatusRoutes } from './routes/status.ts';
import { registerTreeRoutes } from './routes/tree.ts';
import { GitError } from '../git/git-error.ts';
import type { Logger } from '../util/logger.ts';

/** A connection on which nothing moves for so long is closed, and with it what it holds. */
const CONNECTION_TIMEOUT_MS = 60_000;
/** For the body of a request, but for those that carry files: they may take as long as something moves. */
const BODY_TIMEOUT_MS = 60_000;
const CONNECTIONS_MAX = 1024;
/** Paths are long, and each byte of them takes three when it is escaped. */
const HEADER_BYTES_MAX = 256 * 1024;

/** Large files: how they are served, and the folder that has them. */
export interface LfsSettings extends LfsServerOptions {
  readonly root: string;
}

/** Builds the app; the caller lets it listen and closes it. */
export function createApp(view: RepositoryView, lfs: LfsSettings, log: Logger | undefined): FastifyInstance {
  const app = fastify({
    http: { maxHeaderSize: HEADER_BYTES_MAX },
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    // Node's own limit would end uploads of large files.
    requestTimeout: 0,
    forceCloseConnections: 'idle',
    rewriteUrl: ({ url = '/' }) => withoutRepositoryPath(url),
    // A path that cannot be decoded is none of ours.
    frameworkErrors: (_error, _request, reply) => void notSupported(reply as unknown as FastifyReply),
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook('onRequest', (request, _reply, done) => {
    limitBodyTime(request);
    done();
  });
  // The framework takes text as well; here a body is JSON, or it is refused.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/(?:[\w.-]+\+)?json/u,
    { parseAs: 'string' },
    app.getDefaultJsonParser('ignore', 'ignore'),
  );
  app.setNotFoundHandler((_request, reply) => notSupported(reply));
  app.setErrorHandler((error: FastifyError, request, reply) => tellError(error, request, reply, log));
  registerStatusRoutes(app);
  registerTreeRoutes(app, view);
  registerCommitRoutes(app, view);
  registerFileRoutes(app, view);
  registerObjectRoutes(app, view);
  registerLfsRoutes(app, lfs.root, lfs, log);
  registerGitRoutes(app, view);
  return app;
}

function limitBodyTime({ method, raw }: FastifyRequest): void {
  if (method !== 'POST') return;
  const timer = setTimeout(() => raw.socket.destroy(), BODY_TIMEOUT_MS);
  raw.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
}

function notSupported(reply: FastifyReply): FastifyReply {
  return sendText(reply, 404, 'Operation not supported');
}

function tellError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger | undefined,
) {
  const status = statusOf(error);
  if (status >= 500) log?.error('request failed', { url: request.url, error });
  // What a route has set for its success does not describe the error.
  for (const name of ['content-length', 'content-disposition', 'content-range', 'etag'])
    reply.removeHeader(name);
  return sendError(reply, status, error.message);
}

function statusOf(error: Error & { statusCode?: number }): number {
  if (error instanceof RequestError) return error.status;
  if (error instanceof GitError) return error.kind === 'closed' ? 503 : 500;
  return error.statusCode ?? 500;
}
