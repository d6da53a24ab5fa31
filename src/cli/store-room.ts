// What the local store takes, for commands; read from the store itself, whether a daemon runs or not.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { openObjectStore, type ObjectStore } from '../objects/object-store.ts';
import type { StoreStatus } from '../objects/store-usage.ts';
import { formatByteSize } from '../util/byte-size.ts';
import { note } from './output.ts';

/** Opens the store; undefined when there is none yet: looking at one does not make one. Throws StoreError. */
export function openExistingStore({ storePath, storeLimit, storeKeepFree }: Config): ObjectStore | undefined {
  if (!existsSync(join(storePath, 'metadata.db'))) return undefined;
  return openObjectStore(storePath, {
    budget: { limit: storeLimit, keepFree: storeKeepFree },
    onWarning: (message) => note(`warning: ${message}`),
  });
}

/** What the store takes; undefined when there is none yet. Rejects with StoreError. */
export async function readStoreStatus(config: Config): Promise<StoreStatus | undefined> {
  await using store = openExistingStore(config);
  return store?.status();
}

/** Bytes of disk that the store takes. */
export function usedBytes({ blobBytes, largeFileBytes, metadataBytes }: StoreStatus): number {
  return blobBytes + largeFileBytes + metadataBytes;
}

/** `3.2 GB used of at most 20 GB; 80 GB of 252 GB free on the disk, 12 GB are left free`. */
export function describeRoom(status: StoreStatus): string {
  const { limitBytes, keepFreeBytes, freeBytes, diskBytes, isCounted } = status;
  const most = limitBytes === Number.POSITIVE_INFINITY ? 'no limit' : `at most ${formatByteSize(limitBytes)}`;
  const used = `${formatByteSize(usedBytes(status))} used${isCounted ? '' : ' (not all counted yet)'}, ${most}`;
  return `${used}; ${formatByteSize(freeBytes)} of ${formatByteSize(diskBytes)} free on the disk, ${formatByteSize(keepFreeBytes)} are left free`;
}

/** The status as JSON: the fields of `scorpio store status --json`. */
export function storeFields(
  config: Config,
  status: StoreStatus,
): Record<string, string | number | boolean | null> {
  const { limitBytes } = status;
  return {
    path: config.storePath,
    blobs: status.blobs,
    blob_bytes: status.blobBytes,
    large_files: status.largeFiles,
    large_file_bytes: status.largeFileBytes,
    metadata_bytes: status.metadataBytes,
    used_bytes: usedBytes(status),
    protected_blobs: status.protectedBlobs,
    limit_bytes: limitBytes === Number.POSITIVE_INFINITY ? null : limitBytes,
    keep_free_bytes: status.keepFreeBytes,
    free_bytes: status.freeBytes,
    disk_bytes: status.diskBytes,
    counted: status.isCounted,
  };
}
