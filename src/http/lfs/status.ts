// .../lfs: what is modified, and what is known of it.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientGone } from '../client-gone.ts';
import type { HttpServices } from '../http-services.ts';
import { mountIdOf, type ById } from '../mount-id.ts';
import { queryFlag } from '../query.ts';
import { lfsAnswer } from './lfs-failure.ts';
import { toStatusJson, type LfsStatusJson } from './lfs-json.ts';
import { MAX_SELECTION_BYTES, optionalBody, selectionOf } from './selection.ts';

/** Adds GET, and a POST for lists of paths that no URL can hold. */
export function addStatusRoutes(app: FastifyInstance, { registry }: HttpServices): void {
  const answer = async (request: FastifyRequest<ById>, reply: FastifyReply): Promise<LfsStatusJson> => {
    const selection = selectionOf(request);
    const fields = optionalBody(request);
    const flag = (name: string): boolean => fields?.optionalFlag(name) ?? queryFlag(request, name);
    const options = { waitForHashes: flag('wait_for_hashes'), askServer: flag('ask_server') };
    const lfs = registry.lfs(mountIdOf(request));
    return toStatusJson(await lfsAnswer(lfs.status(selection, options, clientGone(reply))));
  };
  app.get<ById>('/mounts/:mount_id/lfs', answer);
  app.post<ById>('/mounts/:mount_id/lfs/status', { bodyLimit: MAX_SELECTION_BYTES }, answer);
}
