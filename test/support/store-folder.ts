// A folder for an object store, and looking into it.
import { existsSync, fstatSync, readdirSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectId } from '../../src/util/types.ts';

/** A temporary folder. */
export interface StoreFolder extends AsyncDisposable {
  readonly path: string;
  /** Where the store keeps a blob. */
  blobPath(id: ObjectId): string;
  /** Names of the temporary files in it. */
  temporaryFiles(): string[];
}

/** Makes the folder; disposing deletes it. */
export async function createStoreFolder(): Promise<StoreFolder> {
  const path = await mkdtemp(join(tmpdir(), 'scorpio-store-'));
  return {
    path,
    blobPath: (id) => join(path, 'objects', id.slice(0, 2), id.slice(2)),
    temporaryFiles: () => (existsSync(join(path, 'tmp')) ? readdirSync(join(path, 'tmp')) : []),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** The whole content of an open file. */
export function readOpenFile(fd: number): Buffer {
  const content = Buffer.alloc(fstatSync(fd).size);
  for (let at = 0; at < content.length;) {
    const count = readSync(fd, content, at, content.length - at, at);
    if (count === 0) break;
    at += count;
  }
  return content;
}
