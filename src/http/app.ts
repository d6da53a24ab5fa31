// The daemon's HTTP interface, put together.
import { fastify, type FastifyInstance } from 'fastify';
import { addAntaresRoutes } from './antares.ts';
import { refuseForeignPages } from './browser-guard.ts';
import { addHealthRoute } from './health.ts';
import type { HttpServices } from './http-services.ts';
import { acceptRawBodies } from './json-body.ts';
import { addEarlierLfsRoutes, addLfsRoutes } from './lfs/lfs-routes.ts';
import { refuseOtherUsers } from './peer-guard.ts';
import { answerErrors, answerFrameworkError, answerUnknownRoutes, MAX_BODY_BYTES } from './replies.ts';

/** How long a client may take to send a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Makes the app, not listening yet. */
export function createHttpApp(services: HttpServices): FastifyInstance {
  const { log } = services;
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Closing waits for requests under way; the daemon cuts them off when that takes too long.
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 4096 },
    frameworkErrors: answerFrameworkError,
  });
  refuseForeignPages(app);
  refuseOtherUsers(app);
  acceptRawBodies(app);
  answerErrors(app, log);
  answerUnknownRoutes(app);
  app.addHook('onResponse', async (request, reply) => {
    const durationMs = Math.round(reply.elapsedTime);
    log.debug('request', { method: request.method, url: request.url, status: reply.statusCode, durationMs });
  });
  addHealthRoute(app, services);
  if (services.lfsTasks !== undefined) addEarlierLfsRoutes(app, services);
  app.register(
    async (antares) => {
      addAntaresRoutes(antares, services);
      if (services.lfsTasks !== undefined) addLfsRoutes(antares, services, services.lfsTasks);
    },
    { prefix: '/antares' },
  );
  return app;
}
