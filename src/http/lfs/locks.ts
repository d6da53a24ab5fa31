// .../lfs/locks: locks of the LFS server, through a mount.
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { LfsLockResult } from '../../mount/lfs/mount-lfs.ts';
import { clientGone } from '../client-gone.ts';
import type { HttpServices } from '../http-services.ts';
import { mountIdOf, type ById } from '../mount-id.ts';
import { checkPathInMount } from '../path-in-mount.ts';
import { queryCount, queryFlag, queryText } from '../query.ts';
import { lfsAnswer } from './lfs-failure.ts';
import { toLockJson, toLockResultJson, toVerifiedJson, type LfsLockResultJson } from './lfs-json.ts';
import { MAX_SELECTION_BYTES, namedPaths, optionalBody } from './selection.ts';

interface ByLock {
  Params: { mount_id: string; lock_id: string };
}

interface Results {
  readonly results: readonly LfsLockResultJson[];
  /** Of the first that failed. */
  readonly error?: string;
  readonly code?: string;
}

/** 409 when one of them failed; which, the results say. */
function answerResults(reply: FastifyReply, results: readonly LfsLockResult[], success: number): Results {
  const failed = results.find((result) => result.error !== undefined);
  const json = { results: results.map(toLockResultJson) };
  reply.code(failed === undefined ? success : 409);
  return failed?.error === undefined ? json : { ...json, error: failed.error, code: 'CONFLICT' };
}

/** Adds the routes. */
export function addLockRoutes(app: FastifyInstance, { registry }: HttpServices): void {
  const options = { bodyLimit: MAX_SELECTION_BYTES };

  app.get<ById>('/mounts/:mount_id/lfs/locks', async (request, reply) => {
    const path = queryText(request, 'path');
    const filter = {
      path: path === undefined ? undefined : checkPathInMount(path),
      id: queryText(request, 'id'),
      limit: queryCount(request, 'limit'),
      isCached: queryFlag(request, 'cached'),
    };
    const lfs = registry.lfs(mountIdOf(request));
    return { locks: (await lfsAnswer(lfs.locks(filter, clientGone(reply)))).map(toLockJson) };
  });
  app.post<ById>('/mounts/:mount_id/lfs/locks', options, async (request, reply) => {
    const paths = namedPaths(request);
    const lfs = registry.lfs(mountIdOf(request));
    return answerResults(reply, await lfsAnswer(lfs.lock(paths, clientGone(reply))), 201);
  });
  app.post<ById>('/mounts/:mount_id/lfs/locks/verify', async (request, reply) => {
    const lfs = registry.lfs(mountIdOf(request));
    return toVerifiedJson(await lfsAnswer(lfs.verifyLocks(clientGone(reply))));
  });
  app.delete<ById>('/mounts/:mount_id/lfs/locks', options, async (request, reply) => {
    const paths = namedPaths(request);
    const force = optionalBody(request)?.optionalFlag('force') ?? queryFlag(request, 'force');
    const lfs = registry.lfs(mountIdOf(request));
    return answerResults(reply, await lfsAnswer(lfs.unlock({ paths, force }, clientGone(reply))), 200);
  });
  app.delete<ByLock>('/mounts/:mount_id/lfs/locks/:lock_id', async (request, reply) => {
    const wanted = { paths: [], id: request.params.lock_id, force: queryFlag(request, 'force') };
    const lfs = registry.lfs(mountIdOf(request));
    return answerResults(reply, await lfsAnswer(lfs.unlock(wanted, clientGone(reply))), 200);
  });
}
