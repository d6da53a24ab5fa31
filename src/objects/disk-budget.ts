// How much of the disk the store may take: what the settings mean on the disk that it is on.
import { statfsSync } from 'node:fs';
import type { DiskAmount } from '../util/byte-size.ts';

/** After passing a limit the store shrinks to this much below it, so that it does not do so for every blob. */
const SLACK_SHARE = 0.05;
const SLACK_MAX_BYTES = 1024 ** 3;

/** Smallest unit that the usual filesystems give to a file. */
const DISK_BLOCK_BYTES = 4096;

/** Settings of the budget. */
export interface DiskBudget {
  /** How much disk the store may take; 0: as much as there is. */
  readonly limit: DiskAmount;
  /** How much of the disk it leaves free. */
  readonly keepFree: DiskAmount;
}

/** A budget without limits. */
export const NO_BUDGET: DiskBudget = { limit: { bytes: 0 }, keepFree: { bytes: 0 } };

/** The disk of the store, in bytes. */
export interface DiskSpace {
  readonly total: number;
  /** What ordinary users may still take. */
  readonly free: number;
}

/** Bytes of disk that a file of `size` bytes takes. */
export function footprint(size: number): number {
  return Math.ceil(size / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES;
}

/** What the filesystem says; a total of 0 when it does not say anything. */
export function readDiskSpace(path: string): DiskSpace {
  try {
    const { bsize, blocks, bavail } = statfsSync(path);
    return { total: blocks * bsize, free: bavail * bsize };
  } catch {
    return { total: 0, free: Number.POSITIVE_INFINITY };
  }
}

/** The budget in bytes. A limit of Infinity is none. */
export function resolveBudget(
  { limit, keepFree }: DiskBudget,
  disk: DiskSpace,
): Readonly<{
  limit: number;
  keepFree: number;
}> {
  const bytesOf = (amount: DiskAmount): number =>
    'bytes' in amount ? amount.bytes : Math.floor((disk.total * amount.percent) / 100);
  return { limit: bytesOf(limit) || Number.POSITIVE_INFINITY, keepFree: bytesOf(keepFree) };
}

const slackOf = (amount: number): number => Math.min(amount * SLACK_SHARE, SLACK_MAX_BYTES);

/**
 * How many bytes must go, and whether the store itself is too large, as opposed to a disk that fills up. The former
 * counts first: then everything may go, and what the disk still lacks shows the next time.
 */
export function excessOf(
  budget: DiskBudget,
  disk: DiskSpace,
  used: number,
): { readonly bytes: number; readonly isOverLimit: boolean } {
  const { limit, keepFree } = resolveBudget(budget, disk);
  const overLimit = used > limit ? used - limit + slackOf(limit) : 0;
  const missing = disk.free < keepFree ? keepFree - disk.free + slackOf(keepFree) : 0;
  return { bytes: Math.ceil(overLimit > 0 ? overLimit : missing), isOverLimit: overLimit > 0 };
}

/** Bytes that may come without anything having to go; 0 or less: none. */
export function roomOf(budget: DiskBudget, disk: DiskSpace, used: number): number {
  const { limit, keepFree } = resolveBudget(budget, disk);
  const below = limit === Number.POSITIVE_INFINITY ? limit : limit - slackOf(limit) - used;
  return Math.min(below, disk.free - keepFree - slackOf(keepFree));
}
