// The Antares routes: mounts are made, listed, looked at and deleted here.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DeleteOptions, DeleteResult, MountRegistry } from '../mount/registry.ts';
import type { MountRecord } from '../mount/mount-record.ts';
import { RegistryError } from '../mount/registry-error.ts';
import type { HttpServices } from './http-services.ts';
import { readJsonObject } from './json-body.ts';
import { mountIdOf, type ById } from './mount-id.ts';
import { answerPrefetch } from './prefetch.ts';
import { toMountStatus, type MountStatus } from './mount-status.ts';
import { queryFlag } from './query.ts';

interface ByJob {
  Params: { job_id: string };
}

/** Adds the routes to an app, below its prefix. */
export function addAntaresRoutes(app: FastifyInstance, { registry, startedAtMs }: HttpServices): void {
  app.get('/health', () => ({
    status: 'healthy',
    mount_count: registry.size,
    uptime_secs: Math.floor((Date.now() - startedAtMs) / 1000),
  }));

  app.post('/mounts', async (request) => {
    const fields = readJsonObject(request);
    const record = await registry.create({
      jobId: fields.optionalText('job_id'),
      buildId: fields.optionalText('build_id'),
      path: fields.text('path'),
      cl: fields.optionalText('cl'),
      mountpoint: fields.optionalText('mountpoint'),
      uid: fields.optionalId('uid'),
      gid: fields.optionalId('gid'),
    });
    return { mount_id: record.mountId, mountpoint: record.mountpoint };
  });

  app.get('/mounts', () => ({ mounts: registry.list().map((record) => status(registry, record)) }));
  app.get<ById>('/mounts/:mount_id', (request) => status(registry, registry.get(mountIdOf(request))));
  app.get<ByJob>('/mounts/by-job/:job_id', (request) =>
    status(registry, registry.getByJob(request.params.job_id)),
  );

  app.delete<ById>('/mounts/:mount_id', async (request) =>
    deletionStatus(registry, await registry.delete(mountIdOf(request), deleteOptionsOf(request))),
  );
  app.delete<ByJob>('/mounts/by-job/:job_id', async (request) =>
    deletionStatus(registry, await registry.deleteByJob(request.params.job_id, deleteOptionsOf(request))),
  );

  app.get<ById>('/mounts/:mount_id/ready', (request) => {
    const record = registry.get(mountIdOf(request));
    return { mount_id: record.mountId, ready: record.state === 'Ready', state: record.state };
  });

  app.post<ById>('/mounts/:mount_id/prefetch', (request, reply) =>
    answerPrefetch(request, reply, registry, mountIdOf(request)),
  );

  app.post<ById>('/mounts/:mount_id/cl', (request) => {
    const mountId = mountIdOf(request);
    readJsonObject(request).text('cl');
    registry.get(mountId);
    throw new RegistryError('UNSUPPORTED', 'change lists are not supported yet');
  });
  app.delete<ById>('/mounts/:mount_id/cl', (request) => {
    registry.get(mountIdOf(request));
    throw new RegistryError('UNSUPPORTED', 'change lists are not supported yet');
  });
}

function status(registry: MountRegistry, record: MountRecord): MountStatus {
  return toMountStatus(record, registry.report(record.mountId));
}

function deletionStatus(registry: MountRegistry, result: DeleteResult): MountStatus {
  const base = status(registry, result.record);
  if (result.error !== undefined) return { ...base, error: result.error, users: result.users ?? [] };
  return result.warning === undefined ? base : { ...base, warning: result.warning };
}

function deleteOptionsOf(request: FastifyRequest): DeleteOptions {
  return { lazy: queryFlag(request, 'lazy'), purge: queryFlag(request, 'purge') };
}
