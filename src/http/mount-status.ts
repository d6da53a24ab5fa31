// A mount as the HTTP API shows it: all fields that ScorpioFS has, null where there is nothing, and some more.
import type { MountBinding, MountLfsReport, MountReport, MountUser } from '../mount/mount-host.ts';
import type { MountLifecycle, MountRecord } from '../mount/mount-record.ts';
import { toTransfersJson, type TransfersJson } from './lfs/transfers-json.ts';

/** Large files of a mount. */
interface MountLfsJson extends TransfersJson {
  readonly server: string | null;
  /** Why the server cannot be used. */
  readonly problem: string | null;
  /** Folders that were checked out. */
  readonly active_folders: readonly string[];
}

/** The JSON form of a mount. */
export interface MountStatus {
  readonly mount_id: string;
  readonly job_id: string | null;
  readonly path: string;
  readonly cl: string | null;
  readonly mountpoint: string;
  readonly layers: { readonly upper: string; readonly cl: string | null; readonly dicfuse: 'shared' };
  readonly state: MountLifecycle;
  readonly created_at_epoch_ms: number;
  readonly last_seen_epoch_ms: number;
  /** Commit that it shows. */
  readonly commit: string | null;
  readonly uid: number;
  readonly gid: number;
  /** How it is served, and what that cannot do; null while the mount does not serve. */
  readonly binding: MountBinding | null;
  /** Of the whole daemon, since it started; null while the mount does not serve. */
  readonly fetched_bytes: number | null;
  readonly requests: number | null;
  /** What the kernel does by itself: `open` (it opens files without asking), `passthrough`; null as above. */
  readonly kernel: { readonly open: boolean; readonly passthrough: boolean } | null;
  /** The last faults that processes in the mount met, newest last. */
  readonly faults: readonly string[];
  /** Large files; null while the mount does not serve. */
  readonly lfs: MountLfsJson | null;
  /** Of a deletion that failed: why, and who uses the mount. */
  readonly error?: string;
  /** What the user should know although the request went well. */
  readonly warning?: string;
  readonly users?: readonly MountUser[];
}

/** Makes the JSON form. */
export function toMountStatus(record: MountRecord, report: MountReport | undefined): MountStatus {
  return {
    mount_id: record.mountId,
    job_id: record.jobId,
    path: record.path,
    cl: record.cl,
    mountpoint: record.mountpoint,
    layers: { upper: record.upperDir, cl: record.clDir, dicfuse: 'shared' },
    state: record.state,
    created_at_epoch_ms: record.createdAtEpochMs,
    last_seen_epoch_ms: record.lastSeenEpochMs,
    commit: record.snapshot?.commit ?? null,
    uid: record.uid,
    gid: record.gid,
    binding: report?.binding ?? null,
    fetched_bytes: report?.fetchedBytes ?? null,
    requests: report?.requests ?? null,
    kernel:
      report === undefined
        ? null
        : { open: !report.features.openRequests, passthrough: report.features.passthrough },
    faults: report?.faults ?? [],
    lfs: report === undefined ? null : lfsJson(report.lfs),
  };
}

function lfsJson(lfs: MountLfsReport): MountLfsJson {
  return {
    server: lfs.server ?? null,
    problem: lfs.problem ?? null,
    active_folders: lfs.activeFolders,
    ...toTransfersJson(lfs),
  };
}
