// The registry's memory: the mounts there are, those that were, and their copy in the state file.
import type { Logger } from '../util/logger.ts';
import type { MountRecord } from './mount-record.ts';
import { loadState, type StateDefaults } from './state-file.ts';
import { createStateStore, type StateStore } from './state-store.ts';
import { hasChanges, removeUnused } from './upper-folders.ts';

/** A mount, and what is going on with it. */
export interface Slot {
  readonly record: MountRecord;
  /** The attempt to mount that is under way; others join it. */
  attempt: Promise<void> | undefined;
}

/** The mounts. Changing it does not write the state file; `save` does. */
export class MountTable {
  /** By mount id. */
  readonly slots: Map<string, Slot> = new Map();
  readonly #unmounted: MountRecord[];
  readonly #state: StateStore;
  readonly #log: Logger;

  private constructor(
    stateFile: string,
    mounts: readonly MountRecord[],
    unmounted: MountRecord[],
    log: Logger,
  ) {
    for (const record of mounts) this.slots.set(record.mountId, { record, attempt: undefined });
    this.#unmounted = unmounted;
    this.#log = log;
    this.#state = createStateStore(stateFile, () => ({
      mounts: [...this.slots.values()].map((slot) => slot.record),
      unmounted: this.#unmounted,
    }));
  }

  /**
   * Reads the state file. Mounts whose creation a crash cut off come back in `halfMade`: nobody was told of them, so
   * they are kept as unmounted ones, and only their traces have to be cleared. Rejects as `loadState` does.
   */
  static async load(
    stateFile: string,
    defaults: StateDefaults,
    log: Logger,
  ): Promise<{ table: MountTable; halfMade: MountRecord[] }> {
    const saved = await loadState(stateFile, defaults, log);
    const halfMade = saved.mounts.filter((record) => !record.established);
    const mounts = saved.mounts.filter((record) => record.established);
    return { table: new MountTable(stateFile, mounts, [...saved.unmounted, ...halfMade], log), halfMade };
  }

  /** Mounts, oldest first. */
  list(): MountRecord[] {
    const records = [...this.slots.values()].map((slot) => slot.record);
    return records.sort((a, b) => a.createdAtEpochMs - b.createdAtEpochMs);
  }

  /** Takes an unmounted record out by a condition; the newest where several fulfil it. */
  takeUnmounted(condition: (record: MountRecord) => boolean): MountRecord | undefined {
    const index = this.#unmounted.findLastIndex(condition);
    return index < 0 ? undefined : this.#unmounted.splice(index, 1)[0];
  }

  /**
   * Remembers an unmounted mount if the user changed something in it, else removes its folders. `stillOpen`: processes
   * that a lazy unmount left behind may yet write. Whether it is remembered. Never rejects.
   */
  async keepUnmounted(record: MountRecord, stillOpen = false): Promise<boolean> {
    record.state = 'Unmounted';
    record.established = true;
    try {
      if (stillOpen || (await hasChanges(record))) {
        this.#unmounted.push(record);
        return true;
      }
      await removeUnused(record);
    } catch (error) {
      this.#log.warn('cannot tidy up after a mount', { mount: record.mountId, error });
    }
    return false;
  }

  /** As `keepUnmounted`, for one that `takeUnmounted` gave. */
  putBackUnmounted(record: MountRecord): void {
    this.#unmounted.push(record);
  }

  /** Resolves when everything until now is durable. Rejects with Node's errors. */
  save(): Promise<void> {
    return this.#state.save();
  }

  /** For changes that no request waits for, and that the next start could make again. Never rejects. */
  async saveOrWarn(): Promise<void> {
    await this.#state.save().catch((error: unknown) => {
      this.#log.error('cannot write the state file', { error });
    });
  }
}
