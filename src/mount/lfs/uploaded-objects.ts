// Which large files are known to be on which LFS server, and since when: from pushes, and from asking.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { LfsOid } from '../../lfs/lfs-object.ts';
import type { Logger } from '../../util/logger.ts';
import { createLineRecords } from './line-records.ts';

/** Objects that are remembered. */
const OBJECTS_MAX = 200_000;
/**
 * For so long the word of the server counts without asking again, in milliseconds. A server may remove what no commit
 * refers to, which is so until the commit is pushed.
 */
const TRUST_MS = 10 * 60 * 1000;
const LINE = /^([0-9a-f]{64}@[0-9a-f]{16}) (\d{1,15})$/u;

/** What servers have. */
export interface UploadedObjects {
  ready(): Promise<void>;
  /** Whether the server has had it. */
  has(server: string, oid: LfsOid): boolean;
  /** Whether it had it a moment ago: good enough to refer to it. */
  isFresh(server: string, oid: LfsOid): boolean;
  add(server: string, oid: LfsOid): void;
  /** The server does not have it (any more). */
  remove(server: string, oid: LfsOid): void;
  close(): Promise<void>;
}

/** Keeps them in the file `uploaded` of a folder. */
export function createUploadedObjects(folder: string, log: Logger): UploadedObjects {
  const what = 'the record of what was pushed';
  const records = createLineRecords(join(folder, 'uploaded'), { what, line: LINE, most: OBJECTS_MAX, log });
  const tags = new Map<string, string>();
  const tagOf = (server: string): string => {
    const known = tags.get(server);
    if (known !== undefined) return known;
    const tag = createHash('sha256').update(server).digest('hex').slice(0, 16);
    tags.set(server, tag);
    return tag;
  };
  const key = (server: string, oid: LfsOid): string => `${oid}@${tagOf(server)}`;
  /** When the server said so; 0: never, or it said that it has it no more. */
  const since = (server: string, oid: LfsOid): number => Number(records.get(key(server, oid)) ?? 0);
  const age = (server: string, oid: LfsOid): number => Date.now() - since(server, oid);
  return {
    ready: () => records.ready(),
    has: (server, oid) => since(server, oid) > 0,
    isFresh: (server, oid) => age(server, oid) >= 0 && age(server, oid) < TRUST_MS,
    add: (server, oid) => records.set(key(server, oid), String(Date.now())),
    remove: (server, oid) => {
      if (since(server, oid) > 0) records.set(key(server, oid), '0');
    },
    close: () => records.close(),
  };
}
