// Room on a full disk, for which may have to be waited.
import { statfsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { LargeFileRoom } from './downloads-options.ts';

/** Mounts keep what nobody reads any more open for up to 6 s; until then it cannot be removed. */
const WAIT_MS = 8000;
const POLL_MS = 500;

/** Room that is looked for. */
export interface WantedRoom {
  readonly room: LargeFileRoom | undefined;
  /** Where, and how many bytes. */
  readonly directory: string;
  readonly bytes: number;
}

/**
 * Whether the store made some room, or somebody did; resolves with false after a while in which nobody could, or when
 * the signal aborts. Throws Node's errors.
 */
export async function findRoom(wanted: WantedRoom, signal?: AbortSignal): Promise<boolean> {
  const { room, directory, bytes } = wanted;
  if (room === undefined) return false;
  const deadline = Date.now() + WAIT_MS;
  while (!room.makeRoom()) {
    if (freeBytes(directory) >= bytes) return true;
    if (Date.now() >= deadline || signal?.aborted === true) return false;
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return true;
}

/** Bytes that are free on the disk of a folder. Throws Node's errors. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
