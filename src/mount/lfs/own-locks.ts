// Locks that the user took, by server and id: where a server names no owners, nothing else tells whose they are.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atomicWrite } from '../../util/atomic-write.ts';

/** The ids, kept in a file. */
export interface OwnLocks {
  has(id: string): boolean;
  /** Durable when it resolves. Rejects as the local disk does. */
  add(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Forgets all others than these, of those that were there before `sinceMs`, by `performance.now()`. */
  keep(ids: ReadonlySet<string>, sinceMs: number): Promise<void>;
}

/** The locks that were taken from a server, by its URL: the same for all mounts, whatever path of it they name. */
export type OwnLocksOf = (server: string) => Promise<OwnLocks>;

/** Keeps a file for each server in a folder, which may be missing. What cannot be read counts as no locks. */
export function createOwnLocks(folder: string): OwnLocksOf {
  const opened = new Map<string, Promise<OwnLocks>>();
  return (server) => {
    const { origin } = new URL(server);
    const found = opened.get(origin) ?? openOwnLocks(folder, origin);
    opened.set(origin, found);
    return found;
  };
}

async function openOwnLocks(folder: string, server: string): Promise<OwnLocks> {
  const name = createHash('sha256').update(server).digest('hex').slice(0, 16);
  const path = join(folder, `${name}.json`);
  const added = new Map<string, number>();
  for (const id of await readIds(path)) added.set(id, -Infinity);
  let last: Promise<void> = Promise.resolve();

  function save(): Promise<void> {
    const write = async (): Promise<void> => {
      await mkdir(folder, { recursive: true });
      await atomicWrite(path, `${JSON.stringify({ server, ids: [...added.keys()] })}\n`, { mode: 0o600 });
    };
    const saved = last.then(write, write);
    last = saved.catch(() => undefined);
    return saved;
  }

  return {
    has: (id) => added.has(id),
    add(id) {
      added.set(id, performance.now());
      return save();
    },
    remove(id) {
      return added.delete(id) ? save() : Promise.resolve();
    },
    keep(ids, sinceMs) {
      const gone = [...added].filter(([id, atMs]) => !ids.has(id) && atMs < sinceMs);
      for (const [id] of gone) added.delete(id);
      return gone.length === 0 ? Promise.resolve() : save();
    },
  };
}

async function readIds(path: string): Promise<readonly string[]> {
  try {
    const { ids } = JSON.parse(await readFile(path, 'utf8')) as { ids?: unknown };
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
  } catch {
    return [];
  }
}
