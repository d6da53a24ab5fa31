// /lfs/attributes: patterns of large files that hold in all mounts, in the shapes of earlier ScorpioFS.
import type { FastifyInstance } from 'fastify';
import type { HttpServices } from '../http-services.ts';
import { readJsonObject } from '../json-body.ts';
import { lfsAnswer } from './lfs-failure.ts';
import { lfsCareOf } from './runs.ts';

const MAX_PATTERNS = 10_000;

/** Adds the routes. GET is an addition. */
export function addAttributeRoutes(app: FastifyInstance, services: HttpServices): void {
  app.get('/lfs/attributes', async () => ({
    patterns: await lfsAnswer(lfsCareOf(services).trackedPatterns()),
  }));
  app.post('/lfs/attributes', async (request) => {
    const patterns = readJsonObject(request).optionalTexts('patterns', MAX_PATTERNS) ?? [];
    const tracked = await lfsAnswer(lfsCareOf(services).trackPatterns(patterns));
    return { tracked_patterns: tracked.length };
  });
  app.delete('/lfs/attributes', async (request) => {
    const patterns = readJsonObject(request).optionalTexts('paths', MAX_PATTERNS) ?? [];
    const tracked = await lfsAnswer(lfsCareOf(services).untrackPatterns(patterns));
    return { tracked_patterns: tracked.length };
  });
}
