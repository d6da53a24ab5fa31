// Bringing a mount up: for the first time, or again.
import { existsSync } from 'node:fs';
import { MountError } from './mount-error.ts';
import type { MountHost } from './mount-host.ts';
import type { MountRecord } from './mount-record.ts';
import type { MountTable, Slot } from './mount-table.ts';
import { RegistryError } from './registry-error.ts';
import type { Retries } from './retries.ts';
import { hasChanges } from './upper-folders.ts';

/** Brings mounts up; both methods reject with what the host, or the disk, said. */
export interface BringUp {
  /** Makes a new mount: resolves when it is ready and recorded. Leaves nothing mounted when it rejects. */
  provision(slot: Slot): Promise<void>;
  /** Mounts a known one again; when that fails it is in state Failed, and is tried again later. */
  remount(slot: Slot): Promise<void>;
  /** Refuses all further attempts. */
  stop(): void;
}

/** What it needs. */
export interface BringUpOptions {
  readonly host: MountHost;
  readonly table: MountTable;
  readonly retries: Retries;
  readonly allowOther: boolean;
}

/** Makes the means to bring mounts up. */
export function createBringUp({ host, table, retries, allowOther }: BringUpOptions): BringUp {
  let stopped = false;

  const refuseWhenStopped = (): void => {
    if (stopped) throw new RegistryError('SHUTDOWN', 'server is shutting down');
  };

  const mount = async (record: MountRecord): Promise<void> => {
    refuseWhenStopped();
    requireUpper(record);
    if (record.cl !== null) {
      throw new MountError('invalid', 'change lists are not supported yet: another program made this mount');
    }
    const report = await host.mount({
      id: record.mountId,
      path: record.path,
      commit: record.snapshot?.commit,
      snapshot: record.snapshot,
      mountpoint: record.mountpoint,
      ownsMountpoint: record.ownsMountpoint,
      upperDir: record.upperDir,
      workDir: record.workDir,
      uid: record.uid,
      gid: record.gid,
      allowOther,
    });
    record.snapshot = report.snapshot;
    record.ownsMountpoint = report.ownsMountpoint;
    record.state = 'Mounted';
  };

  const provision = async (record: MountRecord): Promise<void> => {
    requireUpper(record);
    // What the user changed was changed against that commit; without changes the newest is wanted.
    if (record.snapshot !== undefined && !(await hasChanges(record))) record.snapshot = undefined;
    // The intention goes first: a crash in between must leave a trace of what is to be cleared.
    await table.save();
    await mount(record);
    record.established = true;
    record.state = 'Ready';
    try {
      await table.save();
    } catch (error) {
      await host.unmount(record.mountId, { lazy: true });
      throw error;
    }
  };

  const remount = async (record: MountRecord): Promise<void> => {
    retries.cancel(record.mountId);
    try {
      await mount(record);
    } catch (error) {
      record.state = { Failed: { reason: (error as Error).message } };
      if (table.slots.has(record.mountId)) retries.schedule(record.mountId);
      throw error;
    }
    record.state = 'Ready';
    retries.reset(record.mountId);
    await table.saveOrWarn();
  };

  const share = (slot: Slot, work: (record: MountRecord) => Promise<void>): Promise<void> => {
    slot.attempt ??= work(slot.record).finally(() => {
      slot.attempt = undefined;
    });
    return slot.attempt;
  };

  return {
    provision: (slot) => share(slot, provision),
    remount: (slot) => share(slot, remount),
    stop: () => {
      stopped = true;
    },
  };
}

/** What was mounted before has an upper folder. Where that is gone, an empty one must not take its place silently. */
function requireUpper({ snapshot, upperDir, jobId, mountId }: MountRecord): void {
  if (snapshot === undefined || existsSync(upperDir)) return;
  throw new MountError(
    'invalid',
    `the folder with what was written is missing: ${upperDir}. Is its disk mounted? ` +
      `To go on without it: scorpio umount --purge ${jobId ?? mountId}`,
  );
}
