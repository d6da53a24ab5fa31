// The routes of large files.
import type { FastifyInstance } from 'fastify';
import type { LfsTasks } from '../../mount/lfs/lfs-tasks.ts';
import type { HttpServices } from '../http-services.ts';
import { addAttributeRoutes } from './attributes.ts';
import { addLockRoutes } from './locks.ts';
import { addMonorepoLockRoutes } from './monorepo-locks.ts';
import { addRunRoutes } from './runs.ts';
import { addStatusRoutes } from './status.ts';
import { addTaskRoutes } from './tasks.ts';

/** Adds those of mounts and tasks, below the prefix of Antares. */
export function addLfsRoutes(antares: FastifyInstance, services: HttpServices, tasks: LfsTasks): void {
  addStatusRoutes(antares, services);
  addRunRoutes(antares, services, tasks);
  addTaskRoutes(antares, tasks);
  addLockRoutes(antares, services);
}

/** Adds those of earlier ScorpioFS, which have no prefix. */
export function addEarlierLfsRoutes(app: FastifyInstance, services: HttpServices): void {
  addAttributeRoutes(app, services);
  addMonorepoLockRoutes(app, services);
}
