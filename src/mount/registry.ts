// The registry: which mounts there are, and how each is made, found and ended.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from '../util/logger.ts';
import type { LfsCare, MountLfs } from './lfs/mount-lfs.ts';
import { createBringUp, type BringUp } from './bring-up.ts';
import { MountError } from './mount-error.ts';
import type {
  MountHost,
  MountMemory,
  MountReport,
  MountUser,
  PrefetchProgress,
  PrefetchReport,
  PrefetchRequest,
} from './mount-host.ts';
import {
  isAnsweredBy,
  resolveMountRequest,
  type CreateMountRequest,
  type WantedMount,
} from './mount-request.ts';
import { describeState, isServing, type MountRecord } from './mount-record.ts';
import { MountTable, type Slot } from './mount-table.ts';
import { createRecovery, type Recovery } from './recovery.ts';
import { RegistryError, toRegistryError } from './registry-error.ts';
import { createRetries, type Retries } from './retries.ts';
import { purgeFolders, removeUnused } from './upper-folders.ts';

const FIRST_RETRY_DELAY_MS = 2000;

/** What the registry needs. */
export interface RegistryOptions {
  readonly host: MountHost;
  readonly stateFile: string;
  readonly upperRoot: string;
  readonly mountRoot: string;
  readonly allowOther: boolean;
  /** Owner of files where a request names none. */
  readonly uid: number;
  readonly gid: number;
  /** Whether a request may name the owner (a daemon that is root can serve other users). */
  readonly mayChooseOwner: boolean;
  readonly log: Logger;
  /** Wait before a mount that did not come back is tried again; doubles up to a minute. Default two seconds. */
  readonly retryDelayMs?: number;
}

/** How a deletion went. */
export interface DeleteResult {
  /** The mount as the client is told of it: in state `Unmounted`, or `Failed` with the reason. */
  readonly record: MountRecord;
  /** Why it failed. */
  readonly error?: string;
  /** Who uses a mount that is busy. */
  readonly users?: readonly MountUser[];
  /** It went well, but for something that the user should know. */
  readonly warning?: string;
}

/** How to delete a mount. */
export interface DeleteOptions {
  /** Detach the mount although processes use it. */
  readonly lazy?: boolean;
  /** Remove what the user changed as well. */
  readonly purge?: boolean;
}

/** The mounts of a daemon. Returned records are live: read them at once, and do not keep or change them. */
export class MountRegistry {
  readonly #options: RegistryOptions;
  readonly #table: MountTable;
  readonly #halfMade: readonly MountRecord[];
  readonly #bringUp: BringUp;
  readonly #recovery: Recovery;
  readonly #retries: Retries;
  /** What is under way: stopping waits for it, since each may have the last word in the state file. */
  readonly #underWay = new Set<Promise<unknown>>();
  #stopping = false;

  private constructor(options: RegistryOptions, table: MountTable, halfMade: readonly MountRecord[]) {
    const { host, allowOther, mountRoot, log } = options;
    this.#options = options;
    this.#table = table;
    this.#halfMade = halfMade;
    const retries = createRetries(options.retryDelayMs ?? FIRST_RETRY_DELAY_MS, (id) =>
      this.#recovery.retry(id),
    );
    this.#retries = retries;
    this.#bringUp = createBringUp({ host, table, retries, allowOther });
    this.#recovery = createRecovery({ host, table, bringUp: this.#bringUp, mountRoot, log });
    host.onEnded((id, end) => {
      if (!this.#stopping) void this.#track(this.#recovery.onEnded(id, end, () => retries.schedule(id)));
    });
  }

  /**
   * Reads the state file. Its mounts are known at once, in state Provisioning; call `recover` before anything else.
   * Rejects when the file cannot be read, or a newer version wrote it.
   */
  static async load(options: RegistryOptions): Promise<MountRegistry> {
    const { table, halfMade } = await MountTable.load(options.stateFile, options, options.log);
    return new MountRegistry(options, table, halfMade);
  }

  /**
   * Brings the mounts of the state file back: same id, same commit, same upper folder. Resolves when each was tried
   * once; what failed is tried again in the background. Never rejects.
   */
  recover(): Promise<void> {
    return this.#track(this.#recovery.recoverAll(this.#halfMade));
  }

  /** Number of mounts, those that failed included. */
  get size(): number {
    return this.#table.slots.size;
  }

  /** All mounts, oldest first. */
  list(): MountRecord[] {
    return this.#table.list();
  }

  /** A mount by its id. Throws RegistryError NOT_FOUND. */
  get(mountId: string): MountRecord {
    return this.#slot(mountId).record;
  }

  /** The mount of a job. Throws RegistryError NOT_FOUND. */
  getByJob(jobId: string): MountRecord {
    const record = this.list().find((candidate) => candidate.jobId === jobId);
    if (record === undefined) throw new RegistryError('NOT_FOUND', `mount for task ${jobId} not found`);
    return record;
  }

  /** What the side that serves a mount says of it; undefined while it does not serve. */
  report(mountId: string): MountReport | undefined {
    return this.#options.host.report(mountId);
  }

  /** What all mounts together take of the memory. */
  memory(): MountMemory | undefined {
    return this.#options.host.memory();
  }

  /** Large files of all mounts; undefined where the host keeps none. */
  get lfsCare(): LfsCare | undefined {
    return this.#options.host.lfsCare;
  }

  /** Large files of a mount. Throws RegistryError: NOT_FOUND, or INVALID_REQUEST while it does not serve. */
  lfs(mountId: string): MountLfs {
    this.#refuseWhenStopping();
    this.#requireServing(mountId);
    const lfs = this.#options.host.lfs(mountId);
    if (lfs === undefined) throw new RegistryError('INVALID_REQUEST', `mount ${mountId} has just ended`);
    return lfs;
  }

  /**
   * Mounts, or answers with the mount that the same job has already: also when that one is only being made, and when
   * both requests come at the same moment. Resolves when the mount is ready. Rejects with RegistryError.
   */
  async create(request: CreateMountRequest): Promise<MountRecord> {
    this.#refuseWhenStopping();
    return this.#track(this.#create(request));
  }

  async #create(request: CreateMountRequest): Promise<MountRecord> {
    const wanted = resolveMountRequest(request);
    for (const slot of this.#table.slots.values()) {
      if (isAnsweredBy(wanted, slot.record)) return this.#join(slot);
    }
    const earlier = this.#takeEarlier(wanted);
    const slot: Slot = { record: this.#newRecord(wanted, earlier), attempt: undefined };
    // From here on, and before anything is waited for, a second request finds this one.
    this.#table.slots.set(slot.record.mountId, slot);
    try {
      await this.#bringUp.provision(slot);
    } catch (error) {
      this.#table.slots.delete(slot.record.mountId);
      await this.#undo(slot.record, earlier);
      this.#refuseWhenStopping();
      throw toRegistryError(error);
    }
    return slot.record;
  }

  /**
   * Unmounts. A mount in use stays, and the result says who uses it. What the user changed is kept, and found again
   * when the same job asks for the same path. Rejects with RegistryError (NOT_FOUND, INVALID_REQUEST, INTERNAL_ERROR).
   */
  async delete(mountId: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    this.#refuseWhenStopping();
    const what = `mount ${mountId}`;
    return this.#track(this.#deleteWhere((record) => record.mountId === mountId, what, options));
  }

  /** As `delete`, by job. */
  async deleteByJob(jobId: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    this.#refuseWhenStopping();
    const what = `mount for task ${jobId}`;
    return this.#track(this.#deleteWhere((record) => record.jobId === jobId, what, options));
  }

  /**
   * Fetches what a mount shows of a folder ahead of need; see MountHost. Rejects with RegistryError, or with the reason
   * of the signal.
   */
  async prefetch(
    mountId: string,
    request: PrefetchRequest,
    onProgress: (progress: PrefetchProgress) => void,
    signal: AbortSignal,
  ): Promise<PrefetchReport> {
    this.#refuseWhenStopping();
    this.#requireServing(mountId);
    try {
      return await this.#track(this.#options.host.prefetch(mountId, request, onProgress, signal));
    } catch (error) {
      if (signal.aborted) throw error;
      this.#refuseWhenStopping();
      throw toRegistryError(error);
    }
  }

  /**
   * Ends the service: unmounts everything (what is in use is detached, with a warning that names the users), and takes
   * no more requests. The state file keeps the mounts, so that the next start brings them back. Never rejects.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#bringUp.stop();
    this.#retries.stop();
    await this.#options.host.close();
    // What was being made is refused by now, and cleans up after itself.
    await Promise.allSettled(this.#underWay);
    await Promise.allSettled([...this.#table.slots.values()].map(async (slot) => slot.attempt));
  }

  #slot(mountId: string): Slot {
    const slot = this.#table.slots.get(mountId);
    if (slot === undefined) throw new RegistryError('NOT_FOUND', `mount ${mountId} not found`);
    return slot;
  }

  #requireServing(mountId: string): void {
    const { record } = this.#slot(mountId);
    if (isServing(record)) return;
    throw new RegistryError(
      'INVALID_REQUEST',
      `mount ${mountId} is in state ${describeState(record.state)}; try again when it is Ready`,
    );
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw new RegistryError('SHUTDOWN', 'server is shutting down');
  }

  #newRecord(wanted: WantedMount, earlier: MountRecord | undefined): MountRecord {
    const { upperRoot, mountRoot, mayChooseOwner, uid, gid } = this.#options;
    const mountId = earlier?.mountId ?? randomUUID();
    const mountpoint = wanted.mountpoint ?? join(mountRoot, mountId);
    const now = Date.now();
    return {
      mountId,
      jobId: wanted.jobId,
      path: wanted.path,
      cl: null,
      clDir: null,
      mountpoint,
      // A folder that a crash left behind is still ours.
      ownsMountpoint: earlier?.mountpoint === mountpoint && earlier.ownsMountpoint,
      upperDir: earlier?.upperDir ?? join(upperRoot, mountId),
      workDir: earlier?.workDir ?? join(upperRoot, '.work', mountId),
      uid: (mayChooseOwner ? wanted.uid : undefined) ?? uid,
      gid: (mayChooseOwner ? wanted.gid : undefined) ?? gid,
      snapshot: earlier?.snapshot,
      createdAtEpochMs: now,
      lastSeenEpochMs: now,
      established: false,
      state: 'Provisioning',
    };
  }

  /** What the job left when it unmounted the same path. */
  #takeEarlier({ jobId, path }: WantedMount): MountRecord | undefined {
    if (jobId === null) return undefined;
    return this.#table.takeUnmounted(
      (record) => record.jobId === jobId && record.path === path && record.cl === null,
    );
  }

  /** A second request for a mount: it waits for what is under way, and shares its outcome. */
  async #join(slot: Slot): Promise<MountRecord> {
    const { record } = slot;
    try {
      if (slot.attempt !== undefined) await slot.attempt;
      else if (!isServing(record)) await this.#bringUp.remount(slot);
    } catch (error) {
      this.#refuseWhenStopping();
      throw toRegistryError(error);
    }
    record.lastSeenEpochMs = Date.now();
    return record;
  }

  async #deleteWhere(
    isWanted: (record: MountRecord) => boolean,
    what: string,
    options: DeleteOptions,
  ): Promise<DeleteResult> {
    const active = this.list().find(isWanted);
    if (active !== undefined) return this.#deleteSlot(this.#slot(active.mountId), options);
    const gone = options.purge === true ? this.#table.takeUnmounted(isWanted) : undefined;
    if (gone === undefined) throw new RegistryError('NOT_FOUND', `${what} not found`);
    return this.#purge(gone);
  }

  async #deleteSlot(slot: Slot, options: DeleteOptions): Promise<DeleteResult> {
    const { record } = slot;
    const { host } = this.#options;
    if (record.state === 'Provisioning' || record.state === 'Quiescing' || record.state === 'Unmounting') {
      throw new RegistryError(
        'INVALID_REQUEST',
        `mount ${record.mountId} is currently in state ${describeState(record.state)}; ` +
          'retry after switch/unmount completes',
      );
    }
    record.state = 'Unmounting';
    // An attempt in the background cannot be taken back, but its result can be undone.
    await slot.attempt?.catch(() => undefined);
    record.state = 'Unmounting';
    this.#retries.cancel(record.mountId);
    try {
      if (host.report(record.mountId) === undefined) await host.clearDead(record.mountpoint);
      await host.unmount(record.mountId, { lazy: options.lazy ?? false });
    } catch (error) {
      return this.#unmountFailed(record, error);
    }
    this.#table.slots.delete(record.mountId);
    this.#retries.reset(record.mountId);
    record.ownsMountpoint = false;
    if (options.purge === true) return this.#purge(record);
    const isKept = await this.#table.keepUnmounted(record, options.lazy);
    if (!isKept) await host.forget(record.mountId);
    return this.#ended(record);
  }

  /** It is unmounted, whether that can be written down (on a full disk it cannot) or not. */
  async #ended(record: MountRecord): Promise<DeleteResult> {
    try {
      await this.#table.save();
      return { record };
    } catch (error) {
      const warning =
        `${this.#options.stateFile} cannot be written: ${(error as Error).message}; ` +
        'unless that works before the daemon ends, its next start mounts it again';
      this.#options.log.warn('unmounted, but the list of mounts is not up to date', { error });
      return { record, warning };
    }
  }

  /** The client is told that it failed; a mount that still serves goes on as if nothing had been asked. */
  #unmountFailed(record: MountRecord, error: unknown): DeleteResult {
    const reason = `unmount failed: ${(error as Error).message}`;
    const failed = { Failed: { reason } };
    record.state = this.#options.host.report(record.mountId) === undefined ? failed : 'Ready';
    const users = error instanceof MountError ? error.users : [];
    return { record: { ...record, state: failed }, error: reason, users };
  }

  async #purge(record: MountRecord): Promise<DeleteResult> {
    record.state = 'Unmounted';
    try {
      await purgeFolders(record);
      await this.#options.host.forget(record.mountId);
    } catch (error) {
      // Still to be found, so that purging can be repeated.
      this.#table.putBackUnmounted(record);
      await this.#table.saveOrWarn();
      throw toRegistryError(error);
    }
    return this.#ended(record);
  }

  /** After a creation that failed: what was there before it stays, what it made goes. */
  async #undo(record: MountRecord, earlier: MountRecord | undefined): Promise<void> {
    if (earlier !== undefined) this.#table.putBackUnmounted(earlier);
    else {
      await removeUnused(record).catch((error: unknown) => {
        this.#options.log.warn('cannot tidy up after a mount that failed', { mount: record.mountId, error });
      });
      await this.#options.host.forget(record.mountId);
    }
    await this.#table.saveOrWarn();
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }
}
