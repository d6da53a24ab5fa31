// Bringing mounts back: after a restart, after a crash, and after a mount broke while the daemon ran.
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../util/logger.ts';
import type { BringUp } from './bring-up.ts';
import type { MountEnd, MountHost } from './mount-host.ts';
import type { MountRecord } from './mount-record.ts';
import type { MountTable } from './mount-table.ts';

/** What it needs. */
export interface RecoveryOptions {
  readonly host: MountHost;
  readonly table: MountTable;
  readonly bringUp: BringUp;
  readonly mountRoot: string;
  readonly log: Logger;
}

/** Brings mounts back. No method rejects. */
export interface Recovery {
  /**
   * Tries each mount of the table once, all at the same time. Every attempt has begun when this returns: a request that
   * comes later joins it instead of making its own.
   */
  recoverAll(halfMade: readonly MountRecord[]): Promise<void>;
  /** Tries one that failed once more. */
  retry(mountId: string): Promise<void>;
  /** A mount ended on its own. The table knows at once; resolves when the state file does. */
  onEnded(mountId: string, end: MountEnd, scheduleRetry: () => void): Promise<void>;
}

/** Makes it. */
export function createRecovery({ host, table, bringUp, mountRoot, log }: RecoveryOptions): Recovery {
  const clearHalfMade = async (record: MountRecord): Promise<void> => {
    try {
      await host.clearDead(record.mountpoint);
      // Taken out and put back, so that a request of the same job meanwhile does not get a folder that is removed.
      const taken = table.takeUnmounted((other) => other === record);
      if (taken !== undefined) await table.keepUnmounted(taken);
      if (record.mountpoint === join(mountRoot, record.mountId))
        await rmdir(record.mountpoint).catch(() => undefined);
      await table.saveOrWarn();
    } catch (error) {
      log.warn('cannot clear what a crash left of a mount', { mountpoint: record.mountpoint, error });
    }
  };

  return {
    async recoverAll(halfMade) {
      const attempts = [...table.slots.values()].map(async (slot) => {
        const { mountId: mount, mountpoint } = slot.record;
        try {
          await bringUp.remount(slot);
          log.info('mounted again', { mount, mountpoint });
        } catch (error) {
          log.warn('cannot mount again; will try later', { mount, mountpoint, error });
        }
      });
      await Promise.all([...attempts, ...halfMade.map(clearHalfMade)]);
    },

    async retry(mountId) {
      const slot = table.slots.get(mountId);
      if (slot === undefined || typeof slot.record.state === 'string') return;
      const { mountpoint } = slot.record;
      try {
        await bringUp.remount(slot);
        log.info('mounted again', { mount: mountId, mountpoint });
      } catch (error) {
        log.debug('still cannot mount', { mount: mountId, mountpoint, error });
      }
    },

    async onEnded(mountId, end, scheduleRetry) {
      const slot = table.slots.get(mountId);
      if (slot === undefined || slot.record.state === 'Unmounting') return;
      const { record } = slot;
      const fields = { mount: mountId, mountpoint: record.mountpoint };
      if (end === 'died') {
        log.error('a mount broke; mounting it again', fields);
        record.state = { Failed: { reason: 'the connection to the kernel broke' } };
        scheduleRetry();
        return;
      }
      log.warn('a mount was unmounted by hand', fields);
      table.slots.delete(mountId);
      record.ownsMountpoint = false;
      await table.keepUnmounted(record);
      await table.saveOrWarn();
    },
  };
}
