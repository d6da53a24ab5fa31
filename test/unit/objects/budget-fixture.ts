// Stores with a budget, for tests: blobs that are known by a number.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach } from 'vitest';
import { openObjectStore, type ObjectStore } from '../../../src/objects/object-store.ts';
import { hashObject } from '../../../src/util/git-hash.ts';
import { createStoreFolder, type StoreFolder } from '../../support/store-folder.ts';

/** Bytes. */
export const MEGABYTE = 1_000_000;
/** Size of a blob: 25 blocks of 4096 bytes. */
export const BLOB_BYTES = 102_400;
/** An hour. */
export const HOUR_MS = 3_600_000;

/** The folder of a test's store; made and removed for each test. */
export let folder: StoreFolder;
/** What the stores warned of. */
export let warnings: string[];
/** The stores that are open. */
export const stores: ObjectStore[] = [];

beforeEach(async () => {
  folder = await createStoreFolder();
  warnings = [];
});

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  await folder[Symbol.asyncDispose]();
});

/** Content of the blob of a number. */
export const contentOf = (number: number, bytes: number = BLOB_BYTES): Buffer =>
  Buffer.alloc(bytes, `blob ${number} `);
/** Its id. */
export const idOf = (number: number, bytes: number = BLOB_BYTES): string =>
  hashObject('blob', contentOf(number, bytes));

/** Opens a store with a limit in bytes; without one it keeps everything. Closed after the test. */
export function open(limit?: number, options: { path?: string; keepFree?: number } = {}): ObjectStore {
  const budget = { limit: { bytes: limit ?? 0 }, keepFree: { bytes: options.keepFree ?? 0 } };
  const store = openObjectStore(options.path ?? folder.path, {
    onWarning: (message) => warnings.push(message),
    busyTimeoutMs: 500,
    budget,
  });
  if (limit !== undefined) store.keepWithinBudget();
  stores.push(store);
  return store;
}

/** Closes a store before the end of the test. */
export async function close(store: ObjectStore): Promise<void> {
  stores.splice(stores.indexOf(store), 1);
  await store.close();
}

/** Stores the blob of a number. */
export async function publish(
  store: ObjectStore,
  number: number,
  bytes: number = BLOB_BYTES,
): Promise<string> {
  const content = contentOf(number, bytes);
  const id = hashObject('blob', content);
  const writer = store.writeBlob(id);
  writer.begin(content.length);
  await writer.write(content);
  await writer.finish();
  return id;
}

/** Sets when each blob was last used, as if long ago: blob N in the Nth minute of `hoursAgo`. */
export function ageAll(count: number, hoursAgo = 5, path: string = folder.path): void {
  const db = new Database(join(path, 'usage.db'));
  const set = db.prepare('UPDATE blobs SET used = ? WHERE id = ?');
  for (let number = 0; number < count; number++) {
    set.run(Date.now() - hoursAgo * HOUR_MS + number * 60_000, Buffer.from(idOf(number), 'hex'));
  }
  db.close();
}

/** Numbers of the blobs that are there. */
export function present(count: number, bytes: number = BLOB_BYTES): number[] {
  return Array.from({ length: count }, (_, number) => number).filter((number) =>
    existsSync(folder.blobPath(idOf(number, bytes))),
  );
}

/** Makes a store of blobs that were used long ago, blob 0 first. */
export async function fillStore(count: number): Promise<void> {
  const store = open();
  for (let number = 0; number < count; number++) await publish(store, number);
  await close(store);
  ageAll(count);
}
