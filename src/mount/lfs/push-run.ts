// One push of large files: what is new or modified is hashed, and what the server lacks of it uploaded.
import { constants } from 'node:fs';
import type { LfsClient, UploadOutcome, UploadSource } from '../../lfs/client/lfs-client.ts';
import { LfsError } from '../../lfs/lfs-error.ts';
import type { LfsOid } from '../../lfs/lfs-object.ts';
import { eachLimited } from '../../util/each-limited.ts';
import { closeFd, openPath } from '../../util/syscall.ts';
import { toWantedPath } from './active-paths.ts';
import type { LargeChange, LargeChanges } from './large-changes.ts';
import { EMPTY_OID, type MountContent, shown } from './mount-content.ts';
import type { LfsReport, LfsRun, LfsSelection } from './mount-lfs.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';
import { RunTally, throwIfEnded } from './run-tally.ts';
import { createSelection, selectedPaths } from './selection.ts';
import { toMountError } from './to-mount-error.ts';
import type { UploadedObjects } from './uploaded-objects.ts';

/** Files that are hashed at once. */
const HASHED_AT_ONCE = 2;
/** Files that are hashed before they are sent: hashing all of many first would only make the server wait. */
const FILES_A_PART = 200;
/** A file that is changed while it is pushed is hashed and sent again, so often at most. */
const MAX_ROUNDS = 3;

/** What it needs. */
export interface PushParts extends Pick<
  MountLfsParts,
  'server' | 'locks' | 'downloads' | 'layer' | 'repositoryPath'
> {
  readonly changes: LargeChanges;
  readonly content: MountContent;
  readonly uploaded: UploadedObjects;
}

/** A file with its hash. */
interface Hashed {
  readonly change: LargeChange;
  readonly oid: LfsOid;
  readonly size: number;
  readonly identity: string | undefined;
}

/** The run. It can be repeated, also after it was killed: what the server has by then is not sent again. */
export function createPushRun(parts: PushParts, selection: LfsSelection): LfsRun {
  return async (onProgress, signal) => {
    try {
      return await new PushRun(parts, new RunTally(onProgress), signal).run(selection);
    } catch (error) {
      throw toMountError(error, signal);
    }
  };
}

class PushRun {
  readonly #parts: PushParts;
  readonly #tally: RunTally;
  readonly #signal: AbortSignal;
  /** Contents that count in the totals. */
  readonly #counted = new Set<LfsOid>();
  /** Ordinary files of the commit that become large, open; by their hash. */
  readonly #lower = new Map<LfsOid, number>();
  /** Files whose content the server took, and did not say that it has; by the hash. */
  readonly #taken = new Map<LfsOid, readonly Hashed[]>();

  constructor(parts: PushParts, tally: RunTally, signal: AbortSignal) {
    this.#parts = parts;
    this.#tally = tally;
    this.#signal = signal;
  }

  async run(selection: LfsSelection): Promise<LfsReport> {
    const { changes, uploaded, server } = this.#parts;
    const tally = this.#tally;
    const isSelected = createSelection(selectedPaths(selection));
    await uploaded.ready();
    const all = await changes.collect(this.#signal);
    const wanted = all.filter((change) => isSelected(change.path) && isToPush(change));
    tally.files = wanted.length;
    for (const change of wanted) this.#warnOfLock(change);
    if (wanted.length === 0) return tally.result();
    const client = await server.client(this.#signal);
    for (let at = 0; at < wanted.length; at += FILES_A_PART) {
      tally.isCounting = at + FILES_A_PART < wanted.length;
      await this.#push(client, wanted.slice(at, at + FILES_A_PART));
    }
    return tally.result();
  }

  /** A part of the files, and again those that are changed meanwhile. */
  async #push(client: LfsClient, part: readonly LargeChange[]): Promise<void> {
    let rest = part;
    try {
      for (let round = 1; rest.length > 0; round++) {
        if (round > 1) rest = await this.#lookAgain(rest);
        const hashed = await this.#hash(rest);
        rest = hashed.length === 0 ? [] : await this.#upload(client, hashed, round === MAX_ROUNDS);
      }
    } finally {
      for (const fd of this.#lower.values()) closeFd(fd);
      this.#lower.clear();
    }
  }

  /** What these files are by now; one that is gone, or no large file any more, fails. */
  async #lookAgain(files: readonly LargeChange[]): Promise<readonly LargeChange[]> {
    const paths = new Set(files.map(({ path }) => path));
    const found = (await this.#parts.changes.collect(this.#signal)).filter(
      (change) => paths.delete(change.path) && isToPush(change),
    );
    for (const path of paths)
      this.#tally.fail(shown(path), '', 'it was removed or moved while it was pushed');
    return found;
  }

  /** Hashes what is not known yet; what cannot be is a failure of that file. */
  async #hash(changes: readonly LargeChange[]): Promise<readonly Hashed[]> {
    const hashed: Hashed[] = [];
    await eachLimited(changes, HASHED_AT_ONCE, async (change) => {
      throwIfEnded(this.#signal);
      try {
        const { oid, size, identity } = await this.#parts.content.object(change, { signal: this.#signal });
        if (change.content?.kind === 'ordinary' && !this.#lower.has(oid)) {
          this.#lower.set(oid, await this.#parts.layer.open(change.content.entry, { signal: this.#signal }));
        }
        if (this.#isOnServer(change, oid)) this.#tally.done(true);
        else hashed.push({ change, oid, size, identity });
      } catch (error) {
        throwIfEnded(this.#signal);
        this.#tally.fail(shown(change.path), '', (error as Error).message);
      }
    });
    return hashed;
  }

  /** Whether the commit says that the server has it: then nobody has to be asked. */
  #isOnServer({ before }: LargeChange, oid: LfsOid): boolean {
    return oid === EMPTY_OID || oid === before?.oid;
  }

  /** Uploads; returns what was changed meanwhile, for another round, unless this is the last. */
  async #upload(
    client: LfsClient,
    hashed: readonly Hashed[],
    isLast: boolean,
  ): Promise<readonly LargeChange[]> {
    const byOid = new Map<LfsOid, Hashed[]>();
    for (const each of hashed) byOid.set(each.oid, [...(byOid.get(each.oid) ?? []), each]);
    const tally = this.#tally;
    for (const [oid, [first]] of byOid) {
      if (!this.#counted.has(oid)) tally.totalBytes += first?.size ?? 0;
      this.#counted.add(oid);
    }
    const sources = [...byOid].map(([oid, files]) => this.#source(oid, files));
    const again: LargeChange[] = [];
    const settled = new Set<LfsOid>();
    const settle = (oid: LfsOid, outcome: UploadOutcome | LfsError): void => {
      const files = byOid.get(oid);
      if (files === undefined || settled.has(oid)) return;
      settled.add(oid);
      again.push(...this.#settle(client, files, outcome, isLast));
    };
    const outcomes = await client.upload(
      sources,
      {
        onBytes: (_oid, bytes) => {
          tally.bytes += bytes;
          tally.changed();
        },
        onDone: settle,
      },
      { signal: this.#signal },
    );
    for (const [oid, outcome] of outcomes) settle(oid, outcome);
    await this.#confirm(client);
    return again;
  }

  /** Asks the server what it has of what it took: a pointer to what it did not keep would be a file that is lost. */
  async #confirm(client: LfsClient): Promise<void> {
    const taken = new Map(this.#taken);
    this.#taken.clear();
    if (taken.size === 0) return;
    try {
      const objects = [...taken].map(([oid, [first]]) => ({ oid, size: first?.size ?? 0 }));
      const present = await client.present(objects, { signal: this.#signal });
      for (const [oid, files] of taken) {
        if (present.has(oid)) this.#parts.uploaded.add(client.url, oid);
        else for (const { change } of files) this.#lost(change.path, oid);
      }
    } catch (error) {
      throwIfEnded(this.#signal);
      // A commit asks again, since nothing is noted.
      this.#tally.warn(
        `the server could not be asked whether it kept what was sent: ${(error as Error).message}`,
      );
    }
  }

  #lost(path: string, oid: LfsOid): void {
    this.#tally.filesDone--;
    this.#tally.fail(shown(path), oid, 'the LFS server took it, and says that it does not have it');
  }

  /** Takes note of what became of one content; returns the files that have another one by now. */
  #settle(
    client: LfsClient,
    files: readonly Hashed[],
    outcome: UploadOutcome | LfsError,
    isLast: boolean,
  ): readonly LargeChange[] {
    const { uploaded } = this.#parts;
    const tally = this.#tally;
    const { oid, size } = files[0] as Hashed;
    if (outcome === 'present') tally.totalBytes -= size;
    if (outcome === 'present') uploaded.add(client.url, oid);
    const again: LargeChange[] = [];
    const done: Hashed[] = [];
    for (const file of files) {
      const { change } = file;
      if (!this.#isUnchanged(file)) {
        // The server has a content that the file has no more, or could not be given it.
        if (isLast) tally.fail(shown(change.path), oid, 'it was changed again and again while it was pushed');
        else again.push(change);
      } else if (isWrongHash(outcome) && file.identity !== undefined && !isLast) {
        this.#parts.content.distrust(file.identity);
        again.push(change);
      } else if (outcome instanceof LfsError) {
        tally.fail(shown(change.path), oid, outcome.message);
      } else {
        tally.done(outcome === 'present');
        done.push(file);
      }
    }
    if (outcome === 'sent') this.#taken.set(oid, done);
    if (outcome instanceof LfsError && again.length === files.length) {
      tally.totalBytes -= size;
      this.#counted.delete(oid);
    }
    return again;
  }

  #isUnchanged({ change, identity }: Hashed): boolean {
    if (identity === undefined) return true;
    try {
      closeFd(this.#parts.content.openAs(change.path, identity));
      return true;
    } catch {
      return false;
    }
  }

  #source(oid: LfsOid, files: readonly Hashed[]): UploadSource {
    const { downloads, content } = this.#parts;
    const { size, change } = files[0] as Hashed;
    return {
      oid,
      size,
      path: toWantedPath(this.#parts.repositoryPath, change.path),
      open: () => {
        let failure: unknown;
        for (const file of files) {
          try {
            if (file.change.content?.kind === 'upper' && file.identity !== undefined) {
              return content.openAs(file.change.path, file.identity);
            }
            const lower = this.#lower.get(oid);
            if (lower !== undefined) return openPath(`/proc/self/fd/${lower}`, constants.O_RDONLY);
            // A pointer that the user wrote: its content may be in the local store.
            const stored = downloads.openStored({ oid, size });
            if (stored !== undefined) return stored;
            failure = new LfsError(
              'missing',
              `${shown(file.change.path)} is a pointer of ${oid}, which neither the server nor the local store has`,
            );
          } catch (error) {
            failure = error;
          }
        }
        throw failure as Error;
      },
    };
  }

  #warnOfLock({ path }: LargeChange): void {
    const lock = this.#parts.locks?.lockedBy(path);
    if (lock === undefined || lock.isOurs) return;
    const owner = lock.owner === '' ? 'somebody else' : lock.owner;
    this.#tally.warn(`${shown(path)} is locked by ${owner}: a commit of it may be refused`);
  }
}

/** Whether the bytes that were read are not those of the hash: the record of hashes may be damaged. */
function isWrongHash(outcome: UploadOutcome | LfsError): boolean {
  return outcome instanceof LfsError && outcome.kind === 'invalid' && outcome.status === undefined;
}

function isToPush({ isLfs, content }: LargeChange): boolean {
  return isLfs && content !== undefined && content.kind !== 'committed';
}
