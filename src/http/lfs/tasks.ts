// .../lfs/tasks: what runs, how far it has come, and its end.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { LfsTask, LfsTasks } from '../../mount/lfs/lfs-tasks.ts';
import { RegistryError } from '../../mount/registry-error.ts';
import { readUuid } from '../mount-id.ts';
import { toTaskJson } from './lfs-json.ts';
import { answerTaskEvents } from './task-events.ts';

interface ByTask {
  Params: { task_id: string };
}

function idOf(request: FastifyRequest<ByTask>): string {
  return readUuid(request.params.task_id, 'task_id');
}

function known(id: string, task: LfsTask | undefined): LfsTask {
  if (task !== undefined) return task;
  throw new RegistryError(
    'NOT_FOUND',
    `task ${id} not found: it ended long ago, or the daemon was restarted`,
  );
}

/** Adds the routes of tasks. */
export function addTaskRoutes(app: FastifyInstance, tasks: LfsTasks): void {
  app.get('/lfs/tasks', () => ({ tasks: tasks.list().map(toTaskJson) }));
  app.get<ByTask>('/lfs/tasks/:task_id', (request) => {
    const id = idOf(request);
    const task = known(id, tasks.get(id));
    return { ...toTaskJson(task), paths: task.paths };
  });
  app.get<ByTask>('/lfs/tasks/:task_id/events', (request, reply) => {
    const id = idOf(request);
    known(id, tasks.get(id));
    return answerTaskEvents(request, reply, tasks, id);
  });
  app.delete<ByTask>('/lfs/tasks/:task_id', async (request) => {
    const id = idOf(request);
    return toTaskJson(known(id, await tasks.cancel(id)));
  });
}
