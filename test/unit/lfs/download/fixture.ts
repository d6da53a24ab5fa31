// A store, a server, a proxy with faults between them, and a client: for tests of downloads.
import { closeSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { createLfsClient } from '../../../../src/lfs/client/create-lfs-client.ts';
import type { LfsClient } from '../../../../src/lfs/client/lfs-client.ts';
import { createLfsDownloads } from '../../../../src/lfs/download/create-lfs-downloads.ts';
import type { LfsDownloadsOptions } from '../../../../src/lfs/download/downloads-options.ts';
import type { LfsDownloads, TransferFailure } from '../../../../src/lfs/download/lfs-downloads.ts';
import type { WantedObject } from '../../../../src/lfs/lfs-object.ts';
import type { ArrivingContent } from '../../../../src/util/arriving-content.ts';
import { createFaultProxy, type FaultProxy } from '../../../support/fault-proxy.ts';
import { createLfsRangeServer, oidOf, type LfsRangeServer } from '../../../support/lfs-range-server.ts';
import { randomBytes } from '../../../support/random.ts';
import { createStoreFolder, readOpenFile, type StoreFolder } from '../../../support/store-folder.ts';

/** Bytes. */
export const MEGABYTE: number = 1024 * 1024;

/** All of a test's parts; made and removed for each test. */
export let folder: StoreFolder;
export let server: LfsRangeServer;
export let proxy: FaultProxy;
export let client: LfsClient;
export let downloads: LfsDownloads;
/** What the downloads warned of, and what failed. */
export let warnings: string[];
export let failures: TransferFailure[];

const opened: ArrivingContent[] = [];

beforeEach(async () => {
  folder = await createStoreFolder();
  server = await createLfsRangeServer();
  proxy = await createFaultProxy(server.url);
  server.linkBase = proxy.url;
  warnings = [];
  failures = [];
  client = openClient();
  restart();
});

afterEach(async () => {
  for (const view of opened.splice(0)) view.close();
  await downloads.close();
  await client.close();
  await proxy.close();
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Another client of the same server. */
export function openClient(): LfsClient {
  return createLfsClient({
    baseUrl: proxy.url,
    lfsUrl: proxy.url,
    path: '/',
    connectTimeoutMs: 5000,
    silenceTimeoutMs: 2000,
    maxAttempts: 2,
    concurrency: 8,
  });
}

/** Begins with the store as a new process does. Close what is open first. */
export function restart(options: Partial<LfsDownloadsOptions> = {}): LfsDownloads {
  downloads = createLfsDownloads({
    directory: folder.path,
    rangesAbove: 1024 * MEGABYTE,
    concurrency: 4,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  downloads.onFailure((failure) => failures.push(failure));
  return downloads;
}

/** Puts random content on the server. */
export function serve(bytes: number, seed: number = bytes): { content: Buffer; object: WantedObject } {
  const content = randomBytes(bytes, seed);
  const object = { oid: oidOf(content), size: bytes, path: `art/${seed}.bin` };
  server.objects.set(object.oid, content);
  return { content, object };
}

/** Where the store keeps an object. */
export const storedPath = ({ oid }: WantedObject): string =>
  join(folder.path, 'lfs', 'objects', oid.slice(0, 2), oid.slice(2, 4), oid);

/** The folder of what has arrived of it. */
export const arrivingPath = ({ oid }: WantedObject): string => join(folder.path, 'lfs', 'incomplete', oid);

export const isStored = (object: WantedObject): boolean => existsSync(storedPath(object));

/** Opens an object that is not complete; closed after the test. */
export async function openView(object: WantedObject): Promise<ArrivingContent> {
  const content = await downloads.open(client, object);
  if (typeof content === 'number') {
    closeSync(content);
    throw new Error('it was complete');
  }
  opened.push(content);
  return content;
}

/** Content of a complete object. */
export function readStored(object: WantedObject): Buffer | undefined {
  const fd = downloads.openStored(object);
  if (fd === undefined) return undefined;
  const content = readOpenFile(fd);
  closeSync(fd);
  return content;
}
