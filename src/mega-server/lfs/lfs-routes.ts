// Mega's LFS routes over the objects of a repository, with what Mega lacks: ranges, checked uploads, owners of locks.
import { join } from 'node:path';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../util/logger.ts';
import { LfsAccess, type LfsAccessOptions } from './access.ts';
import { LfsBatch } from './batch.ts';
import { LfsRequestError, sendLfs } from './lfs-answer.ts';
import { registerLockRoutes } from './lock-routes.ts';
import { LfsLocks } from './locks.ts';
import { registerBatchRoutes, registerContentRoutes } from './object-routes.ts';
import { LfsObjectStore } from './object-store.ts';
import { ResumableUploads } from './resumable-uploads.ts';
import { registerTusRoutes } from './tus-routes.ts';

/** How large files are served. */
export interface LfsServerOptions extends LfsAccessOptions {
  /** Folder of objects and locks. Default: `lfs` of the Git directory, where git-lfs has its own. */
  readonly root?: string | undefined;
  /** Scheme and host of links, where clients reach the server by another name than they say in Host. */
  readonly publicUrl?: string | undefined;
  /** Ask clients to confirm their uploads (a `verify` action). Default false, as Mega. */
  readonly asksToVerify?: boolean | undefined;
}

const INTERNAL_ERROR = 'Internal server error';

/** Adds the routes. */
export function registerLfsRoutes(
  app: FastifyInstance,
  root: string,
  options: LfsServerOptions,
  log: Logger | undefined,
): void {
  const store = new LfsObjectStore(root);
  const uploads = new ResumableUploads(store);
  const access = new LfsAccess(options);
  const batch = new LfsBatch(store, access, { asksToVerify: options.asksToVerify ?? false });
  const locks = new LfsLocks(join(root, 'server-locks.json'));
  const parts = { store, uploads, batch, access, publicUrl: options.publicUrl };
  app.addHook('onReady', async () => {
    await store.clean();
    await uploads.clean();
  });
  const tell = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
    tellError(error, request, reply, log);
  void app.register((scope, _options, done) => {
    scope.setErrorHandler(tell);
    registerBatchRoutes(scope, parts);
    registerLockRoutes(scope, locks, access);
    done();
  });
  void app.register((scope, _options, done) => {
    scope.setErrorHandler(tell);
    scope.removeAllContentTypeParsers();
    // The handlers read the request itself, piece by piece, whatever it calls its content.
    scope.addContentTypeParser('*', (_request, payload, parsed) => parsed(null, payload));
    registerContentRoutes(scope, parts);
    registerTusRoutes(scope, uploads, access);
    done();
  });
}

function tellError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger | undefined,
): FastifyReply {
  for (const name of ['content-length', 'etag', 'accept-ranges']) reply.removeHeader(name);
  if (error instanceof LfsRequestError) {
    // git-lfs looks at the first, others at the second.
    const realm = 'Basic realm="LFS"';
    if (error.status === 401) reply.headers({ 'lfs-authenticate': realm, 'www-authenticate': realm });
    return sendLfs(reply, error.status, { message: error.message, ...error.members });
  }
  // A client that went away in the middle has nobody to answer to.
  const status = error.code === 'ECONNRESET' ? 400 : (error.statusCode ?? 500);
  if (status >= 500) log?.error('request failed', { url: request.url, error });
  return sendLfs(reply, status, { message: status < 500 ? error.message : INTERNAL_ERROR });
}
