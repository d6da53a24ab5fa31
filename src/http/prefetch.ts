// POST /antares/mounts/{id}/prefetch: a stream of events, a JSON object a line, until the work ends.
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { PrefetchProgress, PrefetchReport, PrefetchRequest } from '../mount/mount-host.ts';
import type { MountRegistry } from '../mount/registry.ts';
import { RegistryError, toRegistryError } from '../mount/registry-error.ts';
import { clientGone } from './client-gone.ts';
import { readJsonObject } from './json-body.ts';
import { checkPathInMount } from './path-in-mount.ts';
import type { PrefetchEndEvent, PrefetchNumbers, PrefetchProgressEvent } from './prefetch-events.ts';

const MAX_GLOBS = 1000;
const PACK_WISHES = ['auto', 'always', 'never'] as const;

/** Answers a request. Errors before the first event are thrown, as RegistryError; later ones are an event. */
export async function answerPrefetch(
  request: FastifyRequest,
  reply: FastifyReply,
  registry: MountRegistry,
  mountId: string,
): Promise<FastifyReply> {
  const wanted = wantedOf(request);
  const { raw } = reply;
  const gone = clientGone(reply);
  const send = createSender(raw, reply);
  try {
    const report = await registry.prefetch(mountId, wanted, (progress) => send.progress(progress), gone);
    send.last({ event: 'end', ...finalOf(report) });
  } catch (error) {
    if (!reply.sent) throw error;
    if (!gone.aborted) {
      const { message, code } = toRegistryError(error);
      send.last({ event: 'error', error: message, code });
    }
  }
  return reply;
}

function wantedOf(request: FastifyRequest): PrefetchRequest {
  const fields = readJsonObject(request);
  const pack = fields.optionalText('pack') ?? 'auto';
  if (!PACK_WISHES.some((wish) => wish === pack)) {
    throw new RegistryError('INVALID_REQUEST', `pack must be one of ${PACK_WISHES.join(', ')}`);
  }
  const path = checkPathInMount(fields.optionalText('path') ?? '');
  return {
    path,
    depth: fields.optionalId('depth'),
    include: fields.optionalTexts('include', MAX_GLOBS),
    exclude: fields.optionalTexts('exclude', MAX_GLOBS),
    dryRun: fields.optionalFlag('dry_run'),
    pack: pack as (typeof PACK_WISHES)[number],
  };
}

/** What a client reads. */
type PrefetchEvent =
  | PrefetchProgressEvent
  | PrefetchEndEvent
  | { readonly event: 'error'; readonly error: string; readonly code: string };

interface Sender {
  progress(progress: PrefetchProgress): void;
  last(event: PrefetchEvent): void;
}

function createSender(raw: ServerResponse, reply: FastifyReply): Sender {
  const write = (event: PrefetchEvent): void => {
    if (!reply.sent) {
      reply.hijack();
      raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    }
    raw.write(`${JSON.stringify(event)}\n`);
  };
  return {
    progress(progress) {
      // Who reads slowly gets fewer numbers, which are newer.
      if (raw.destroyed || raw.writableNeedDrain) return;
      const { isCounting, pack } = progress;
      const packed =
        pack === undefined
          ? null
          : { objects: pack.objects, total_objects: pack.totalObjects, bytes: pack.bytes };
      write({ event: 'progress', counting: isCounting, ...numbersOf(progress), pack: packed });
    },
    last(event) {
      write(event);
      raw.end();
    },
  };
}

function numbersOf(progress: PrefetchProgress): PrefetchNumbers {
  const { folders, files, present, fetched, failed, bytes, totalBytes, unsized } = progress;
  return { folders, files, present, fetched, failed, bytes, total_bytes: totalBytes, unsized };
}

function finalOf(report: PrefetchReport): Omit<PrefetchEndEvent, 'event'> {
  const { failures, usedPack, durationMs } = report;
  return { ...numbersOf(report), failures, used_pack: usedPack, duration_ms: durationMs };
}
