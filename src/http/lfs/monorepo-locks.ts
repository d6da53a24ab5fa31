// /lfs/locks: locks by their path in the monorepo, in the shapes of earlier ScorpioFS. They name no mount, so the path
// says which one is meant.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { LfsLock, LfsLockResult } from '../../mount/lfs/mount-lfs.ts';
import { isServing, type MountRecord } from '../../mount/mount-record.ts';
import type { MountRegistry } from '../../mount/registry.ts';
import { RegistryError } from '../../mount/registry-error.ts';
import { isWithin } from '../../util/path-within.ts';
import { withoutSlashesAround } from '../../util/slashes.ts';
import { clientGone } from '../client-gone.ts';
import type { HttpServices } from '../http-services.ts';
import { checkPathInMount } from '../path-in-mount.ts';
import { queryCount, queryFlag, queryText } from '../query.ts';
import { toLfsFailure } from './lfs-failure.ts';
import { toLockJson } from './lfs-json.ts';

interface ByPath {
  Params: { '*': string };
}

interface Place {
  readonly mountId: string;
  /** From the root of the mount. */
  readonly path: string;
}

/**
 * The mount that shows a path of the monorepo: of several the innermost, of equal ones the oldest. Where none shows it
 * and there is one mount only, the path is one of that mount. Throws RegistryError.
 */
export function placeOf(path: string, records: readonly MountRecord[]): Place {
  const wanted = `/${withoutSlashesAround(path)}`;
  const serving = records.filter(isServing);
  const [innermost] = serving
    .filter((record) => isWithin(wanted, record.path))
    .sort((a, b) => b.path.length - a.path.length);
  if (innermost !== undefined) {
    const root = innermost.path === '/' ? '' : innermost.path;
    return { mountId: innermost.mountId, path: wanted.slice(root.length + 1) };
  }
  const [only] = serving;
  if (only !== undefined && serving.length === 1) return { mountId: only.mountId, path: wanted.slice(1) };
  const known = serving.map((record) => record.path).join(', ');
  throw new RegistryError(
    'INVALID_REQUEST',
    `no mount shows ${wanted}; ${known === '' ? 'nothing is mounted' : `mounted are ${known}`}`,
  );
}

function placeOfRequest(request: FastifyRequest<ByPath>, registry: MountRegistry): Place {
  const path = checkPathInMount(request.params['*']);
  if (path === '') throw new RegistryError('INVALID_REQUEST', 'the path of the lock is missing');
  return placeOf(path, registry.list());
}

/** Every failure was a 500 with nothing but its message. */
async function asBefore(reply: FastifyReply, work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    reply.code(500);
    return { error: toLfsFailure(error).message };
  }
}

function checkResult(results: readonly LfsLockResult[]): LfsLock | undefined {
  const [result] = results;
  if (result?.error !== undefined) throw new RegistryError('INTERNAL_ERROR', result.error);
  return result?.lock;
}

/** Locks of all mounts, each once: several mounts of one repository have the same. */
async function allLocks(
  registry: MountRegistry,
  filter: { readonly id: string | undefined; readonly limit: number | undefined },
  signal: AbortSignal,
): Promise<readonly LfsLock[]> {
  const serving = registry.list().filter(isServing);
  const lists = await Promise.all(
    serving.map(({ mountId }) => registry.lfs(mountId).locks({ ...filter }, signal)),
  );
  const byKey = new Map(lists.flat().map((lock) => [`${lock.id}\0${lock.path}`, lock]));
  return [...byKey.values()].slice(0, filter.limit);
}

/** Adds the routes. */
export function addMonorepoLockRoutes(app: FastifyInstance, { registry }: HttpServices): void {
  app.get('/lfs/locks', (request, reply) => {
    const path = queryText(request, 'path');
    const filter = { id: queryText(request, 'id'), limit: queryCount(request, 'limit') };
    return asBefore(reply, async () => {
      const signal = clientGone(reply);
      if (path === undefined) return { locks: (await allLocks(registry, filter, signal)).map(toLockJson) };
      const place = placeOf(checkPathInMount(path), registry.list());
      const locks = await registry.lfs(place.mountId).locks({ ...filter, path: place.path }, signal);
      return { locks: locks.map(toLockJson) };
    });
  });
  app.post<ByPath>('/lfs/locks/*', (request, reply) =>
    asBefore(reply, async () => {
      const place = placeOfRequest(request, registry);
      const lock = checkResult(await registry.lfs(place.mountId).lock([place.path], clientGone(reply)));
      reply.code(201);
      return lock === undefined ? {} : { lock: toLockJson(lock) };
    }),
  );
  app.delete<ByPath>('/lfs/locks/*', (request, reply) => {
    const force = queryFlag(request, 'force');
    return asBefore(reply, async () => {
      const place = placeOfRequest(request, registry);
      checkResult(
        await registry.lfs(place.mountId).unlock({ paths: [place.path], force }, clientGone(reply)),
      );
      reply.code(204);
      return undefined;
    });
  });
}
