// Runs about large files: each begins a task, and the answer says which.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { LfsTasks, LfsTaskSubject } from '../../mount/lfs/lfs-tasks.ts';
import type { LfsCare, LfsRun } from '../../mount/lfs/mount-lfs.ts';
import { RegistryError } from '../../mount/registry-error.ts';
import type { HttpServices } from '../http-services.ts';
import { readJsonObject } from '../json-body.ts';
import { mountIdOf, type ById } from '../mount-id.ts';
import { lfsAnswer, toLfsFailure } from './lfs-failure.ts';
import { toTaskJson, type LfsTaskJson } from './lfs-json.ts';
import { MAX_SELECTION_BYTES, optionalBody, selectionOf } from './selection.ts';

const MAX_REPOSITORIES = 100;

/** What the daemon does about large files of all mounts. Throws RegistryError where it does nothing. */
export function lfsCareOf({ registry }: HttpServices): LfsCare {
  const care = registry.lfsCare;
  if (care === undefined) throw new RegistryError('UNSUPPORTED', 'this daemon keeps no large files');
  return care;
}

function begin(reply: FastifyReply, tasks: LfsTasks, subject: LfsTaskSubject, run: LfsRun): LfsTaskJson {
  try {
    const task = tasks.start(subject, run);
    reply.code(202).header('location', `/antares/lfs/tasks/${task.id}`);
    return toTaskJson(task);
  } catch (error) {
    throw toLfsFailure(error);
  }
}

function repositoriesOf(request: FastifyRequest): string[] {
  const repositories = readJsonObject(request).optionalTexts('repositories', MAX_REPOSITORIES) ?? [];
  if (repositories.length === 0) {
    throw new RegistryError('INVALID_REQUEST', 'repositories must name at least one folder');
  }
  if (repositories.some((path) => !path.startsWith('/') || path.includes('\0'))) {
    throw new RegistryError('INVALID_REQUEST', 'repositories must be absolute paths');
  }
  return repositories;
}

/** Adds checkout, fetch, push, prune and dedup. */
export function addRunRoutes(app: FastifyInstance, services: HttpServices, tasks: LfsTasks): void {
  const { registry } = services;
  const options = { bodyLimit: MAX_SELECTION_BYTES };

  app.post<ById>('/mounts/:mount_id/lfs/checkout', options, (request, reply) => {
    const selection = selectionOf(request);
    const mountId = mountIdOf(request);
    const run = registry.lfs(mountId).fetch(selection, { activate: true });
    return begin(reply, tasks, { kind: 'checkout', mountId, ...selection }, run);
  });
  app.delete<ById>('/mounts/:mount_id/lfs/checkout', options, async (request) => {
    const lfs = registry.lfs(mountIdOf(request));
    return { active_folders: await lfsAnswer(lfs.deactivate(selectionOf(request))) };
  });
  app.post<ById>('/mounts/:mount_id/lfs/fetch', options, (request, reply) => {
    const selection = selectionOf(request);
    const mountId = mountIdOf(request);
    const run = registry.lfs(mountId).fetch(selection, { activate: false });
    return begin(reply, tasks, { kind: 'fetch', mountId, ...selection }, run);
  });
  app.post<ById>('/mounts/:mount_id/lfs/push', options, (request, reply) => {
    const selection = selectionOf(request);
    const mountId = mountIdOf(request);
    return begin(
      reply,
      tasks,
      { kind: 'push', mountId, ...selection },
      registry.lfs(mountId).push(selection),
    );
  });
  app.post('/lfs/prune', (request, reply) => {
    const fields = optionalBody(request);
    const run = lfsCareOf(services).prune({
      dryRun: fields?.optionalFlag('dry_run') ?? false,
      verifyRemote: fields?.optionalFlag('verify_remote') ?? true,
    });
    return begin(reply, tasks, { kind: 'prune', mountId: undefined, paths: [] }, run);
  });
  app.post('/lfs/dedup', (request, reply) => {
    const paths = repositoriesOf(request);
    return begin(
      reply,
      tasks,
      { kind: 'dedup', mountId: undefined, paths },
      lfsCareOf(services).dedup(paths),
    );
  });
}
