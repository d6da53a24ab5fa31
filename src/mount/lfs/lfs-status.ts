// What a mount changed about large files, for the user.
import { LfsError } from '../../lfs/lfs-error.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { eachLimited } from '../../util/each-limited.ts';
import { Turns } from '../../util/turns.ts';
import { findRenames } from './find-renames.ts';
import type { LargeChange, LargeChanges } from './large-changes.ts';
import { EMPTY_OID, type MountContent, shown } from './mount-content.ts';
import type { LfsChange, LfsFileStatus, LfsSelection } from './mount-lfs.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';
import { createSelection, selectedPaths } from './selection.ts';
import type { UploadedObjects } from './uploaded-objects.ts';

/** Files that are hashed at once. */
const HASHED_AT_ONCE = 2;

/** What it needs. */
export interface LfsStatusParts extends Pick<MountLfsParts, 'server' | 'locks'> {
  readonly changes: LargeChanges;
  readonly content: MountContent;
  readonly uploaded: UploadedObjects;
  /** Has a file hashed when there is time. */
  readonly hashLater: (change: LargeChange) => void;
}

/** How much is to be found out. */
export interface StatusWishes {
  readonly waitForHashes: boolean;
  readonly askServer: boolean;
}

/** What changed. */
export interface ChangedFiles {
  readonly files: readonly LfsFileStatus[];
  /** Why the server could not be asked, for the user. */
  readonly serverProblem: string | undefined;
}

/** The files, by path; those whose hash is not known yet are `unknown`. */
export async function listChangedFiles(
  parts: LfsStatusParts,
  selection: LfsSelection,
  wishes: StatusWishes,
  signal: AbortSignal,
): Promise<ChangedFiles> {
  const isSelected = createSelection(selectedPaths(selection));
  await parts.uploaded.ready();
  const all = await parts.changes.collect(signal);
  const objects = new Map<LargeChange, LfsObject>();
  await learnObjects(parts, all, objects, wishes.waitForHashes, signal);
  const known = (change: LargeChange): LfsObject | undefined => objects.get(change);
  const renames = findRenames(all, known);
  const sources = new Set(renames.values());
  const shownOnes = all.filter(
    ({ path, content }) =>
      !(content === undefined && sources.has(path)) &&
      (isSelected(path) || isSelected(renames.get(path) ?? path)),
  );
  const serverProblem = wishes.askServer ? await askAbout(parts, shownOnes, known, signal) : undefined;
  const isAsked = wishes.askServer && serverProblem === undefined;
  const byPath = new Map(all.map((change) => [change.path, change]));
  const files: LfsFileStatus[] = [];
  const turns = new Turns();
  for (const change of shownOnes) {
    await turns.give();
    const from = renames.get(change.path);
    const before = from === undefined ? change.before : byPath.get(from)?.before;
    const found = { from, before, object: known(change), isAsked };
    files.push(toStatus(parts, change, found));
  }
  return { files, serverProblem };
}

async function learnObjects(
  { content, hashLater }: LfsStatusParts,
  changes: readonly LargeChange[],
  objects: Map<LargeChange, LfsObject>,
  isWaiting: boolean,
  signal: AbortSignal,
): Promise<void> {
  const unknown: LargeChange[] = [];
  const turns = new Turns();
  for (const change of changes) {
    await turns.give();
    const object = content.known(change);
    if (object !== undefined) objects.set(change, object);
    else if (change.isLfs) unknown.push(change);
  }
  if (!isWaiting) {
    for (const change of unknown) hashLater(change);
    return;
  }
  await eachLimited(unknown, HASHED_AT_ONCE, async (change) => {
    try {
      objects.set(change, await content.object(change, { signal }));
    } catch (error) {
      signal.throwIfAborted();
      // One that is written all the time, or was removed just now, stays unknown; the others are told.
      if (!(error instanceof LfsError)) throw error;
    }
  });
}

/** Whether the server has to be asked about it: it is large, and no commit says that the server has it. */
function isUnsure(change: LargeChange, object: LfsObject | undefined): object is LfsObject {
  if (!change.isLfs || object === undefined || object.oid === EMPTY_OID) return false;
  return change.content?.kind !== 'committed' && object.oid !== change.before?.oid;
}

/** Learns what the server has; why it could not be asked. What changed is worth knowing without it. */
async function askAbout(
  { uploaded, server }: LfsStatusParts,
  changes: readonly LargeChange[],
  known: (change: LargeChange) => LfsObject | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const objects = new Map<string, LfsObject>();
  for (const change of changes) {
    const object = known(change);
    if (isUnsure(change, object)) objects.set(object.oid, { oid: object.oid, size: object.size });
  }
  if (objects.size === 0) return undefined;
  try {
    const client = await server.client(signal);
    const present = await client.present([...objects.values()], { signal });
    for (const oid of objects.keys()) {
      if (present.has(oid)) uploaded.add(client.url, oid);
      else uploaded.remove(client.url, oid);
    }
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LfsError)) throw error;
    return error.message;
  }
}

function toStatus(
  { uploaded, server, locks }: LfsStatusParts,
  change: LargeChange,
  found: {
    readonly from: string | undefined;
    readonly before: LfsObject | undefined;
    readonly object: LfsObject | undefined;
    readonly isAsked: boolean;
  },
): LfsFileStatus {
  const { from, before, object, isAsked } = found;
  const isThere = change.content !== undefined;
  const oid = change.isLfs ? object?.oid : undefined;
  const has = (): boolean | undefined => {
    if (!change.isLfs || object === undefined) return undefined;
    if (!isUnsure(change, object)) return true;
    const isKnown = server.url !== undefined && uploaded.has(server.url, object.oid);
    return isKnown ? true : isAsked ? false : undefined;
  };
  return {
    path: shown(change.path),
    change: changeOf(change, from, object),
    from: from === undefined ? undefined : shown(from),
    isLfs: change.isLfs,
    size: isThere ? (object?.size ?? change.size) : 0,
    oldSize: before?.size,
    oldOid: before?.oid,
    oid,
    isUploaded: has(),
    lockedBy: locks?.lockedBy(change.path)?.owner,
  };
}

function changeOf(change: LargeChange, from: string | undefined, object: LfsObject | undefined): LfsChange {
  const { content, before, hadFile, isLfs } = change;
  if (content === undefined) return 'deleted';
  if (from !== undefined) return 'renamed';
  if (!isLfs) return hadFile ? 'modified' : 'new';
  if (object === undefined) return 'unknown';
  if (before !== undefined && before.oid === object.oid) return 'unmodified';
  return hadFile ? 'modified' : 'new';
}
