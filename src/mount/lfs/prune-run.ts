// Removes large files from the local store that can be had again, and that nothing here needs.
import type { LfsClient } from '../../lfs/client/lfs-client.ts';
import type { LfsDownloads } from '../../lfs/download/lfs-downloads.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import type { Logger } from '../../util/logger.ts';
import { MountError } from '../mount-error.ts';
import type { LfsCare, LfsReport } from './mount-lfs.ts';
import type { LfsClientProvider, ServedLfs } from './mount-lfs-parts.ts';
import { RunTally, throwIfEnded } from './run-tally.ts';
import { toMountError } from './to-mount-error.ts';

/** Objects that a server is asked about at once. */
const BATCH_OBJECTS = 100;

/** A mount that is served. */
export type PrunedMount = Pick<ServedLfs, 'neededOids'> & { readonly server: LfsClientProvider };

/** What pruning needs. */
export interface PruneParts {
  readonly downloads: Pick<LfsDownloads, 'stored' | 'remove'>;
  /** The mounts that are served now. */
  readonly mounts: () => Iterable<PrunedMount>;
  readonly log: Logger;
}

/** Makes the runs; see LfsCare.prune. Files: what could go; done: what went, in a dry run what would go. */
export function createPruneRun(parts: PruneParts): LfsCare['prune'] {
  return (options) => async (onProgress, signal) => {
    try {
      return await prune(parts, options, new RunTally(onProgress), signal);
    } catch (error) {
      throw toMountError(error, signal);
    }
  };
}

async function prune(
  { downloads, mounts, log }: PruneParts,
  { dryRun, verifyRemote }: Parameters<LfsCare['prune']>[0],
  tally: RunTally,
  signal: AbortSignal,
): Promise<LfsReport> {
  const served = [...mounts()];
  const spare = await findSpare(downloads, served, tally, signal);
  const clients = verifyRemote && spare.length > 0 ? await clientsOf(served, tally, signal) : [];
  let freedBytes = 0;
  let used = 0;
  const remove = (object: LfsObject): void => {
    if (!dryRun && downloads.remove([object.oid]).length === 0) {
      // Opened, or removed by somebody else, in the meantime.
      tally.files--;
      used++;
      return tally.changed();
    }
    freedBytes += object.size;
    tally.done(false);
  };
  for (let from = 0; from < spare.length; from += BATCH_OBJECTS) {
    throwIfEnded(signal);
    const batch = spare.slice(from, from + BATCH_OBJECTS);
    const confirmed = verifyRemote ? await confirm(clients, batch, tally, signal) : undefined;
    for (const object of batch) {
      // Nobody keeps what has no bytes.
      if (confirmed === undefined || object.size === 0 || confirmed.has(object.oid)) remove(object);
      else tally.fail('', object.oid, 'no server confirms that it has it, so it stays');
    }
  }
  if (used > 0) tally.warn(`in use, and so still there: ${used} of them; close them, or wait some seconds`);
  log.info('pruned large files', { files: tally.filesDone, bytes: freedBytes, dryRun });
  return { ...tally.result(), freedBytes };
}

/** What is stored and needed by nothing. */
async function findSpare(
  downloads: PruneParts['downloads'],
  served: readonly PrunedMount[],
  tally: RunTally,
  signal: AbortSignal,
): Promise<LfsObject[]> {
  const stored: LfsObject[] = [];
  for await (const object of downloads.stored()) {
    throwIfEnded(signal);
    stored.push(object);
  }
  // After the list: what became needed since is not in it, or found here.
  const needed = await Promise.all(served.map((mount) => mount.neededOids(signal)));
  const spare = stored.filter(({ oid }) => !needed.some((oids) => oids.has(oid)));
  tally.files = spare.length;
  tally.isCounting = false;
  tally.changed();
  return spare;
}

/** The servers that can be asked, by each mount: its URL is not known before. Rejects where there is none. */
async function clientsOf(
  served: readonly PrunedMount[],
  tally: RunTally,
  signal: AbortSignal,
): Promise<LfsClient[]> {
  const clients: LfsClient[] = [];
  for (const { server } of served) {
    try {
      clients.push(await server.client(signal));
    } catch (error) {
      throwIfEnded(signal);
      tally.warn((error as Error).message);
    }
  }
  if (clients.length > 0) return clients;
  throw new MountError(
    served.length === 0 ? 'invalid' : 'upstream',
    served.length === 0
      ? 'nothing is mounted, so no server can confirm what it has; mount something, or prune without asking the server'
      : 'no LFS server can be asked what it has; try again later, or prune without asking the server',
  );
}

/** Oids that at least one of the servers has. */
async function confirm(
  clients: readonly LfsClient[],
  objects: readonly LfsObject[],
  tally: RunTally,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const confirmed = new Set<string>();
  for (const client of clients) {
    const open = objects.filter(({ oid }) => !confirmed.has(oid));
    if (open.length === 0) break;
    try {
      for (const oid of await client.present(open, { signal })) confirmed.add(oid);
    } catch (error) {
      throwIfEnded(signal);
      tally.warn((error as Error).message);
    }
  }
  return confirmed;
}
