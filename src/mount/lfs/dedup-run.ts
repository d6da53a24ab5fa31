// Makes one file of what the local store and the stores of git-lfs both have.
import { existsSync, linkSync, lstatSync, mkdirSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LfsDownloads } from '../../lfs/download/lfs-downloads.ts';
import { largeFilePath } from '../../util/large-file-paths.ts';
import type { Logger } from '../../util/logger.ts';
import { findGitLfsStore, listGitLfsStore, oidsOfHead } from './git-lfs-store.ts';
import type { LfsCare, LfsReport } from './mount-lfs.ts';
import { RunTally, throwIfEnded } from './run-tally.ts';
import { toMountError } from './to-mount-error.ts';

/** What sharing needs. */
export interface DedupParts {
  readonly downloads: Pick<LfsDownloads, 'adopt' | 'has'>;
  /** The local store's folder. */
  readonly storePath: string;
  readonly log: Logger;
}

/**
 * Makes the runs; see LfsCare.dedup. What both stores have becomes one file; what git-lfs has alone gets a second name
 * in the local store; what the local store has and the repository's present commit needs gets one in that of git-lfs.
 */
export function createDedupRun(parts: DedupParts): LfsCare['dedup'] {
  return (repositories) => async (onProgress, signal) => {
    try {
      const run = { parts, tally: new RunTally(onProgress), signal, freedBytes: 0 };
      for (const repository of repositories) await shareWith(run, repository);
      const { freedBytes, tally } = run;
      parts.log.info('shared large files', { files: tally.filesDone, bytes: freedBytes });
      return { ...tally.result(), freedBytes } satisfies LfsReport;
    } catch (error) {
      throw toMountError(error, signal);
    }
  };
}

interface Run {
  readonly parts: DedupParts;
  readonly tally: RunTally;
  readonly signal: AbortSignal;
  freedBytes: number;
}

async function shareWith(run: Run, repository: string): Promise<void> {
  const { tally, parts, signal } = run;
  const store = await findGitLfsStore(repository);
  if (!existsSync(store)) return;
  if (statSync(store).dev !== statSync(parts.storePath).dev) {
    tally.warn(`${store} is on another disk than ${parts.storePath}, so nothing can be shared`);
    return;
  }
  const found: { oid: string; path: string }[] = [];
  for await (const object of listGitLfsStore(store)) {
    throwIfEnded(signal);
    found.push(object);
    tally.files++;
    tally.changed();
  }
  for (const { oid, path } of found) await takeOver(run, oid, path);
  for (const oid of await oidsOfHead(repository)) {
    throwIfEnded(signal);
    giveOut(run, oid, join(store, 'objects', oid.slice(0, 2), oid.slice(2, 4), oid));
  }
}

const isSame = (one: Stats, other: Stats): boolean => one.ino === other.ino && one.dev === other.dev;

/** A file of git-lfs becomes that of the local store. */
async function takeOver(run: Run, oid: string, path: string): Promise<void> {
  const { tally, parts, signal } = run;
  throwIfEnded(signal);
  try {
    const theirs = lstatSync(path);
    const ours = lstatSync(largeFilePath(parts.storePath, oid), { throwIfNoEntry: false });
    if (ours !== undefined && isSame(ours, theirs)) return tally.done(true);
    const object = { oid, size: theirs.size, path };
    if (!(await parts.downloads.adopt(object, path, { mayLink: true, signal }))) {
      return tally.fail(
        path,
        oid,
        'it is damaged: its content is not what its name says; git lfs fsck tells more',
      );
    }
    if (ours?.nlink === 1) run.freedBytes += ours.size;
    tally.done(false);
  } catch (error) {
    throwIfEnded(signal);
    tally.fail(path, oid, (error as Error).message);
  }
}

/** A file of the local store gets a second name in the store of git-lfs, so that a checkout needs no download. */
function giveOut({ tally, parts }: Run, oid: string, path: string): void {
  if (existsSync(path) || !parts.downloads.has(oid)) return;
  tally.files++;
  try {
    mkdirSync(dirname(path), { recursive: true });
    linkSync(largeFilePath(parts.storePath, oid), path);
    tally.done(false);
  } catch (error) {
    tally.fail(path, oid, (error as Error).message);
  }
}
