// What the routes need of the rest of the daemon.
import type { LfsTasks } from '../mount/lfs/lfs-tasks.ts';
import type { PrefetchSchedule } from '../mount/prefetch/prefetch-schedule.ts';
import type { MountRegistry } from '../mount/registry.ts';
import type { Logger } from '../util/logger.ts';

/** The daemon, as the HTTP interface sees it. */
export interface HttpServices {
  readonly registry: MountRegistry;
  readonly version: string;
  readonly startedAtMs: number;
  readonly storePath: string;
  /** URL of the Mega server whose paths it mounts. */
  readonly server: string;
  /** Prefetching in the background, where that is on. */
  readonly prefetchSchedule?: PrefetchSchedule | undefined;
  /** Runs about large files; without them there are no routes of large files. */
  readonly lfsTasks?: LfsTasks | undefined;
  readonly log: Logger;
}
