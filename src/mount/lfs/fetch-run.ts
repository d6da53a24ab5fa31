// One fetch of large files into the local store, ahead of need.
import { LfsError } from '../../lfs/lfs-error.ts';
import type { LfsClient } from '../../lfs/client/lfs-client.ts';
import { formatByteSize } from '../../util/byte-size.ts';
import { eachLimited } from '../../util/each-limited.ts';
import { MountError } from '../mount-error.ts';
import { toWantedPath } from './active-paths.ts';
import { findLargeFiles, type LargeFile, type LargeFilesParts } from './find-large-files.ts';
import { shown } from './mount-content.ts';
import type { LfsReport, LfsRun } from './mount-lfs.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';
import { RunTally } from './run-tally.ts';
import { toMountError } from './to-mount-error.ts';

/** When so many files in a row find the server away, the others would as well. */
const UNREACHABLE_MAX = 8;

/** What it needs. */
export type FetchParts = LargeFilesParts &
  Pick<
    MountLfsParts,
    'mountId' | 'repositoryPath' | 'server' | 'downloads' | 'pointers' | 'concurrency' | 'roomLeft'
  >;

/**
 * The run. What has come is kept when it ends early, and the next one goes on from there. `onFound` is called when it is
 * clear that the paths are there and that what they need has room, before anything large is fetched.
 */
export function createFetchRun(
  parts: FetchParts,
  paths: readonly string[],
  onFound: () => Promise<void> = async () => undefined,
): LfsRun {
  return async (onProgress, signal) => {
    try {
      return await fetch(parts, paths, { tally: new RunTally(onProgress), onFound, signal });
    } catch (error) {
      throw toMountError(error, signal);
    }
  };
}

interface Run {
  readonly tally: RunTally;
  readonly onFound: () => Promise<void>;
  readonly signal: AbortSignal;
}

async function fetch(parts: FetchParts, paths: readonly string[], run: Run): Promise<LfsReport> {
  const { tally, onFound, signal } = run;
  const onCount = (files: number): void => {
    tally.files = files;
    tally.changed();
  };
  const { files, problems } = await findLargeFiles(parts, paths, onCount, signal);
  tally.files = files.length + problems.length;
  for (const { path, reason } of problems) tally.fail(path, '', reason);
  // Pointers of one object that do not agree about its size are told apart: one of them is wrong.
  const missing = new Map<string, LargeFile[]>();
  const room = parts.roomLeft();
  for (const file of files) {
    const key = `${file.oid} ${file.size}`;
    if (parts.downloads.has(file.oid, file.size)) {
      note(parts, file);
      tally.done(true);
    } else if (room !== undefined && file.size > room) {
      tally.fail(shown(file.path), file.oid, tooLarge(file.size, room));
    } else {
      missing.set(key, [...(missing.get(key) ?? []), file]);
    }
  }
  tally.totalBytes = [...missing.values()].reduce((sum, [first]) => sum + (first?.size ?? 0), 0);
  tally.isCounting = false;
  tally.changed();
  if (missing.size > 0) requireRoom(room, tally.totalBytes);
  await onFound();
  if (missing.size > 0) {
    await fetchAll(parts, await parts.server.client(signal), [...missing.values()], run);
  }
  return tally.result();
}

function requireRoom(room: number | undefined, bytes: number): void {
  if (room !== undefined && bytes > room) throw new MountError('invalid', tooLarge(bytes, room));
}

function tooLarge(bytes: number, room: number): string {
  return (
    `it takes ${formatByteSize(bytes)}, and the local store has room for ${formatByteSize(room)}; fetch less, ` +
    'free some with scorpio lfs prune, or raise store_limit, or lower store_keep_free'
  );
}

async function fetchAll(
  parts: FetchParts,
  client: LfsClient,
  objects: readonly (readonly LargeFile[])[],
  { tally, signal }: Run,
): Promise<void> {
  let unreachable = 0;
  await eachLimited(objects, parts.concurrency, async (files) => {
    const [{ oid, size, path }] = files as [LargeFile];
    signal.throwIfAborted();
    let counted = 0;
    const onBytes = (bytes: number): void => {
      counted += bytes;
      tally.bytes += bytes;
      tally.changed();
    };
    try {
      const wanted = { oid, size, path: toWantedPath(parts.repositoryPath, path) };
      await parts.downloads.fetch(client, wanted, { priority: 'prefetch', signal, onBytes });
      unreachable = 0;
      // A transfer that was under way may tell of less than all.
      tally.bytes += size - counted;
      for (const file of files) {
        note(parts, file);
        tally.done(false);
      }
    } catch (error) {
      signal.throwIfAborted();
      // What fails one of them fails all the others.
      if (!(error instanceof LfsError) || error.kind === 'no-space') throw error;
      if (error.kind === 'unreachable' && ++unreachable >= UNREACHABLE_MAX) throw error;
      tally.bytes -= counted;
      tally.totalBytes -= size;
      for (const file of files) tally.fail(shown(file.path), oid, error.message);
    }
  });
}

/** Remembers what the path had: prune keeps what active folders need, and asks nobody for it. */
function note({ pointers, mountId }: FetchParts, { path, oid, size, blob }: LargeFile): void {
  pointers.notePath(mountId, path, { oid, size, blob });
}
