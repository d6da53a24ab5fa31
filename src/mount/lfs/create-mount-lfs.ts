// Large files of one mount: status, push, fetch, locks, put together from their parts.
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { linkAbort } from '../../util/abort-link.ts';
import { MountError } from '../mount-error.ts';
import { mergedObject } from '../merged-changes.ts';
import { type ActiveFetch, createActiveFetch } from './active-fetch.ts';
import { inMount, toRepositoryPath } from './active-paths.ts';
import { type CommitBlobs, createCommitBlobs } from './commit-blobs.ts';
import { type ContentHashes, createContentHashes } from './content-hashes.ts';
import { createFetchRun } from './fetch-run.ts';
import { createLargeChanges, type LargeChange, type LargeChanges } from './large-changes.ts';
import { listChangedFiles } from './lfs-status.ts';
import { createLowerPointers, type LowerPointers } from './lower-pointers.ts';
import { createMountContent, type MountContent } from './mount-content.ts';
import type { CommitBlob, LfsRun, LfsSelection, LfsStatus } from './mount-lfs.ts';
import type { MountLfsParts, ServedLfs } from './mount-lfs-parts.ts';
import { createPushRun } from './push-run.ts';
import { selectedPaths } from './selection.ts';
import { toMountError } from './to-mount-error.ts';
import { transfersIn } from './transfers-in.ts';
import { createUploadedObjects, type UploadedObjects } from './uploaded-objects.ts';

/** Files that wait to be hashed in the background; more are looked at when these are done. */
const WAITING_MAX = 10_000;

/** Makes it. */
export function createMountLfs(parts: MountLfsParts): ServedLfs {
  return new MountLargeFiles(parts);
}

type Locks = NonNullable<MountLfsParts['locks']>;

class MountLargeFiles implements ServedLfs {
  readonly #parts: MountLfsParts;
  readonly #hashes: ContentHashes;
  readonly #uploaded: UploadedObjects;
  readonly #lower: LowerPointers;
  readonly #changes: LargeChanges;
  readonly #content: MountContent;
  readonly #blobs: CommitBlobs;
  readonly #activeFetch: ActiveFetch;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  /** Files that wait to be hashed in the background, by path. */
  readonly #toHash = new Map<string, LargeChange>();
  #hashing: Promise<void> | undefined;
  #activeFolders: readonly string[] = [];

  constructor(parts: MountLfsParts) {
    this.#parts = parts;
    const { stateFolder, log, plain, layer, pointers, upperDir } = parts;
    this.#hashes = createContentHashes(stateFolder, log);
    this.#uploaded = createUploadedObjects(stateFolder, log);
    this.#lower = createLowerPointers(plain, pointers);
    this.#changes = createLargeChanges({ ...parts, lower: this.#lower });
    this.#content = createMountContent(upperDir, layer, this.#hashes);
    this.#blobs = createCommitBlobs(this.#all());
    this.#activeFetch = createActiveFetch({
      folders: async () => selectedPathsOrNone(await this.#loadActive()),
      fetch: (folders) => createFetchRun(this.#all(), folders),
      log,
    });
  }

  get activeFolders(): readonly string[] {
    return this.#activeFolders;
  }

  start(): void {
    this.#activeFetch.restart();
  }

  status(
    selection: LfsSelection,
    wishes: { readonly waitForHashes: boolean; readonly askServer: boolean },
    signal: AbortSignal,
  ): Promise<LfsStatus> {
    return this.#do(signal, async (until) => {
      const { server, downloads, repositoryPath } = this.#parts;
      await this.#hashes.ready();
      const statusParts = { ...this.#all(), hashLater: (change: LargeChange) => this.#hashLater(change) };
      const { files, serverProblem } = await listChangedFiles(statusParts, selection, wishes, until);
      const hashing = files.filter(({ change }) => change === 'unknown').length;
      const all = downloads.status();
      const transfers = transfersIn(all.transfers, repositoryPath);
      const failures = transfersIn(all.failures, repositoryPath);
      const activeFolders = await this.#loadActive();
      return {
        server: server.url,
        serverProblem: serverProblem ?? server.problem,
        files,
        hashing,
        transfers,
        failures,
        activeFolders,
      };
    });
  }

  fetch(selection: LfsSelection, { activate }: { readonly activate: boolean }): LfsRun {
    return (onProgress, signal) =>
      this.#do(signal, (until) => {
        const paths = selectedPaths(selection);
        const onFound = async (): Promise<void> => {
          if (activate) await this.#activate(paths);
        };
        const run = createFetchRun(this.#all(), paths, onFound)(onProgress, until);
        // What could not be had now is tried again in the background.
        return activate ? run.finally(() => this.#activeFetch.restart()) : run;
      });
  }

  async deactivate(selection: LfsSelection): Promise<readonly string[]> {
    const { activeFolders, repositoryPath } = this.#parts;
    const folders = selectedPaths(selection).map((path) => toRepositoryPath(repositoryPath, path));
    this.#activeFolders = inMount(repositoryPath, await activeFolders.remove(folders));
    this.#activeFetch.restart();
    return this.#activeFolders;
  }

  push(selection: LfsSelection): LfsRun {
    return (onProgress, signal) =>
      this.#do(signal, (until) => createPushRun(this.#all(), selection)(onProgress, until));
  }

  commitBlob(path: string, signal: AbortSignal): Promise<CommitBlob> {
    return this.#do(signal, (until) => this.#blobs.blob(path, until));
  }

  async lock(...args: Parameters<Locks['lock']>): ReturnType<Locks['lock']> {
    return this.#locks().lock(...args);
  }

  async unlock(...args: Parameters<Locks['unlock']>): ReturnType<Locks['unlock']> {
    return this.#locks().unlock(...args);
  }

  async locks(...args: Parameters<Locks['locks']>): ReturnType<Locks['locks']> {
    return this.#locks().locks(...args);
  }

  async verifyLocks(...args: Parameters<Locks['verifyLocks']>): ReturnType<Locks['verifyLocks']> {
    return this.#locks().verifyLocks(...args);
  }

  neededOids(signal: AbortSignal): Promise<ReadonlySet<string>> {
    return this.#do(signal, async (until) => {
      const { pointers, mountId, plain, upperDir } = this.#parts;
      const needed = new Set<string>();
      for (const { content } of await this.#changes.collect(until)) {
        if (content?.kind === 'committed' || content?.kind === 'pointer') needed.add(content.pointer.oid);
      }
      const upper = new UpperChanges(upperDir);
      for (const folder of selectedPathsOrNone(await this.#loadActive())) {
        for await (const [, { oid }] of pointers.paths(mountId, folder)) {
          until.throwIfAborted();
          needed.add(oid);
        }
        // What was named may be a file, which no folder has.
        const file = await mergedObject(plain, upper, folder, until);
        const pointer = file?.lower === undefined ? undefined : await this.#lower.of(file.lower, until);
        if (pointer !== undefined) needed.add(pointer.oid);
      }
      return needed;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new MountError('internal', 'the mount has ended'));
    await this.#activeFetch.stop();
    await Promise.allSettled(this.#running);
    await this.#hashes.close();
    await Promise.allSettled(this.#running);
    await this.#uploaded.close();
  }

  #all() {
    return {
      ...this.#parts,
      changes: this.#changes,
      content: this.#content,
      uploaded: this.#uploaded,
      lower: this.#lower,
    };
  }

  #locks(): Locks {
    const { locks } = this.#parts;
    if (locks === undefined) throw new MountError('invalid', 'the LFS server of this mount has no locks');
    return locks;
  }

  /** Ends with the caller's wish, or with the mount; rejects with MountError. */
  async #do<T>(signal: AbortSignal, work: (until: AbortSignal) => Promise<T>): Promise<T> {
    const link = linkAbort(signal, this.#closing.signal);
    const running = (async () => {
      link.signal.throwIfAborted();
      return work(link.signal);
    })();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw toMountError(error, link.signal);
    } finally {
      this.#running.delete(running);
      link.unlink();
    }
  }

  #hashLater(change: LargeChange): void {
    if (this.#closing.signal.aborted || this.#toHash.size >= WAITING_MAX) return;
    this.#toHash.set(change.path, change);
    if (this.#hashing !== undefined) return;
    const hashing = this.#hashAll().finally(() => {
      this.#hashing = undefined;
      this.#running.delete(hashing);
    });
    this.#hashing = hashing;
    this.#running.add(hashing);
  }

  /** Hashes what waits, one file after the other; never rejects. */
  async #hashAll(): Promise<void> {
    const { signal } = this.#closing;
    for (const [path, change] of this.#toHash) {
      try {
        await this.#content.object(change, { signal, priority: 'prefetch' });
      } catch (error) {
        if (!signal.aborted) this.#parts.log.debug('a changed file could not be hashed', { path, error });
      }
      this.#toHash.delete(path);
      if (signal.aborted) return;
    }
  }

  async #activate(paths: readonly string[]): Promise<void> {
    const { activeFolders, repositoryPath } = this.#parts;
    const folders = paths.map((path) => toRepositoryPath(repositoryPath, path));
    this.#activeFolders = inMount(repositoryPath, await activeFolders.add(folders));
  }

  async #loadActive(): Promise<readonly string[]> {
    const { activeFolders, repositoryPath } = this.#parts;
    this.#activeFolders = inMount(repositoryPath, await activeFolders.list());
    return this.#activeFolders;
  }
}

/** As `selectedPaths`, but no folder means none. */
function selectedPathsOrNone(paths: readonly string[]): readonly string[] {
  return paths.length === 0 ? [] : selectedPaths({ paths });
}
