// Large files as the HTTP API spells them. Where there is nothing, a field is null, never absent.
import type {
  LfsChange,
  LfsFileStatus,
  LfsLock,
  LfsLockResult,
  LfsProgress,
  LfsReport,
  LfsStatus,
  VerifiedLocks,
} from '../../mount/lfs/mount-lfs.ts';
import type { LfsTask, LfsTaskKind } from '../../mount/lfs/lfs-tasks.ts';
import { toLfsFailure } from './lfs-failure.ts';
import { toTransfersJson, type TransfersJson } from './transfers-json.ts';

/** Numbers of a task. */
export interface LfsNumbersJson {
  readonly counting: boolean;
  readonly files: number;
  readonly files_done: number;
  readonly files_failed: number;
  readonly files_present: number;
  readonly bytes: number;
  readonly total_bytes: number;
}

/** What became of a task. */
export interface LfsReportJson extends LfsNumbersJson {
  readonly failures: readonly { readonly path: string; readonly oid: string; readonly reason: string }[];
  /** What the user should know although nothing failed. */
  readonly warnings: readonly string[];
  readonly duration_ms: number;
  readonly freed_bytes: number | null;
}

/** A task, as lists and events tell of it. */
export interface LfsTaskJson {
  readonly task_id: string;
  readonly kind: LfsTaskKind;
  readonly mount_id: string | null;
  readonly state: LfsTask['state'];
  readonly started_at_epoch_ms: number;
  readonly ended_at_epoch_ms: number | null;
  readonly progress: LfsNumbersJson;
  readonly report: LfsReportJson | null;
  readonly error: { readonly error: string; readonly code: string } | null;
}

/** A large file that differs from the repository. */
export interface LfsFileJson {
  readonly path: string;
  readonly change: LfsChange;
  readonly from: string | null;
  /** Whether it is large now; false: it was. */
  readonly lfs: boolean;
  readonly size: number;
  readonly old_size: number | null;
  readonly old_oid: string | null;
  readonly oid: string | null;
  readonly uploaded: boolean | null;
  readonly locked_by: string | null;
}

/** Large files of a mount. */
export interface LfsStatusJson extends TransfersJson {
  readonly server: string | null;
  readonly server_problem: string | null;
  readonly files: readonly LfsFileJson[];
  readonly hashing: number;
  readonly active_folders: readonly string[];
}

/** A lock. */
export interface LfsLockJson {
  readonly id: string;
  readonly path: string;
  readonly locked_at: string;
  readonly owner: string | null;
}

/** What became of locking or unlocking one path. */
export interface LfsLockResultJson {
  readonly path: string;
  readonly lock: LfsLockJson | null;
  readonly error: string | null;
}

function numbersOf(progress: LfsProgress): LfsNumbersJson {
  return {
    counting: progress.isCounting,
    files: progress.files,
    files_done: progress.filesDone,
    files_failed: progress.filesFailed,
    files_present: progress.filesPresent,
    bytes: progress.bytes,
    total_bytes: progress.totalBytes,
  };
}

function reportOf(report: LfsReport): LfsReportJson {
  return {
    ...numbersOf(report),
    failures: report.failures.map(({ path, oid, reason }) => ({ path, oid, reason })),
    warnings: report.warnings ?? [],
    duration_ms: report.durationMs,
    freed_bytes: report.freedBytes ?? null,
  };
}

function errorOf(task: LfsTask): LfsTaskJson['error'] {
  if (task.error === undefined) return null;
  const { message, code } = toLfsFailure(task.error);
  return { error: message, code: task.state === 'cancelled' ? 'CANCELLED' : code };
}

/** The JSON form of a task, without its paths: there may be very many. */
export function toTaskJson(task: LfsTask): LfsTaskJson {
  return {
    task_id: task.id,
    kind: task.kind,
    mount_id: task.mountId ?? null,
    state: task.state,
    started_at_epoch_ms: task.startedAtMs,
    ended_at_epoch_ms: task.endedAtMs ?? null,
    progress: numbersOf(task.progress),
    report: task.report === undefined ? null : reportOf(task.report),
    error: errorOf(task),
  };
}

function fileOf(file: LfsFileStatus): LfsFileJson {
  return {
    path: file.path,
    change: file.change,
    from: file.from ?? null,
    lfs: file.isLfs,
    size: file.size,
    old_size: file.oldSize ?? null,
    old_oid: file.oldOid ?? null,
    oid: file.oid ?? null,
    uploaded: file.isUploaded ?? null,
    locked_by: file.lockedBy ?? null,
  };
}

/** The JSON form of the status. */
export function toStatusJson(status: LfsStatus): LfsStatusJson {
  return {
    server: status.server ?? null,
    server_problem: status.serverProblem ?? null,
    files: status.files.map(fileOf),
    hashing: status.hashing,
    ...toTransfersJson(status),
    active_folders: status.activeFolders,
  };
}

/** The JSON form of a lock. */
export function toLockJson({ id, path, lockedAt, owner }: LfsLock): LfsLockJson {
  return { id, path, locked_at: lockedAt, owner: owner ?? null };
}

/** The JSON form of verified locks. */
export function toVerifiedJson({ ours, theirs }: VerifiedLocks): {
  readonly ours: readonly LfsLockJson[];
  readonly theirs: readonly LfsLockJson[];
} {
  return { ours: ours.map(toLockJson), theirs: theirs.map(toLockJson) };
}

/** The JSON form of what became of a path. */
export function toLockResultJson({ path, lock, error }: LfsLockResult): LfsLockResultJson {
  return { path, lock: lock === undefined ? null : toLockJson(lock), error: error ?? null };
}
