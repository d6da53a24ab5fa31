// What the registry knows of one mount, and how its life goes.
import type { MountSnapshot } from './mount-host.ts';

/** The states of a mount, as the HTTP API spells them. */
export type MountLifecycle =
  | 'Provisioning'
  | 'Mounted'
  | 'Ready'
  | 'Quiescing'
  | 'Unmounting'
  | 'Unmounted'
  | { readonly Failed: { readonly reason: string } };

/** A mount. The state file keeps all of it; of `state` the name. */
export interface MountRecord {
  readonly mountId: string;
  /** `job_id` or `build_id` of the request. */
  readonly jobId: string | null;
  /** Path in the monorepo: leading slash, no trailing one. */
  readonly path: string;
  /** Change list; only records of other programs have one. */
  readonly cl: string | null;
  readonly clDir: string | null;
  /** As it was asked for: symbolic links are not resolved. */
  readonly mountpoint: string;
  ownsMountpoint: boolean;
  readonly upperDir: string;
  readonly workDir: string;
  readonly uid: number;
  readonly gid: number;
  /** What it shows; undefined until the path was resolved for the first time. */
  snapshot: MountSnapshot | undefined;
  readonly createdAtEpochMs: number;
  lastSeenEpochMs: number;
  /** Whether its creation was completed: until then a crash may forget it, afterwards never. */
  established: boolean;
  state: MountLifecycle;
}

/** The name of a state, without the reason of a failure. */
export function stateName(state: MountLifecycle): string {
  return typeof state === 'string' ? state : 'Failed';
}

/** A state as the messages of the API show it. */
export function describeState(state: MountLifecycle): string {
  return typeof state === 'string' ? state : `Failed { reason: ${JSON.stringify(state.Failed.reason)} }`;
}

/** Whether processes can use the mount. */
export function isServing(record: MountRecord): boolean {
  return record.state === 'Mounted' || record.state === 'Ready';
}
