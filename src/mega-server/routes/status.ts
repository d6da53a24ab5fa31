// Whether the server is up, and what it can do beyond Mega.
import type { FastifyInstance } from 'fastify';
import { sendData, sendJson } from '../envelope.ts';
import { BLOB_BATCH_MAX, BLOB_SIZES_MAX, TREE_BATCH_MAX } from '../limits.ts';
import { scorpioVersion } from '../../util/version.ts';

/** GET /api/v1/status as Mega has it, and GET /api/v1/capabilities, by which a client finds the extensions. */
export function registerStatusRoutes(app: FastifyInstance): void {
  app.get('/api/v1/status', (_request, reply) => sendJson(reply, 'http ready'));

  app.get('/api/v1/capabilities', (_request, reply) =>
    sendData(reply, {
      server: 'scorpio-mega-server',
      version: scorpioVersion(),
      features: [
        'blob-sizes',
        'blob-batch',
        'blob-range',
        'tree-by-id',
        'tree-batch',
        'commit-pinning',
        'lfs',
      ],
      limits: { blob_sizes: BLOB_SIZES_MAX, blob_batch: BLOB_BATCH_MAX, tree_batch: TREE_BATCH_MAX },
    }),
  );
}
