// Which of the changed large files were moved.
import type { LfsObject } from '../../lfs/lfs-object.ts';
import type { LargeChange } from './large-changes.ts';

/** Old paths by new ones. A file is new where no commit has a file; it was moved from where its content is gone now. */
export function findRenames(
  changes: readonly LargeChange[],
  known: (change: LargeChange) => LfsObject | undefined,
): ReadonlyMap<string, string> {
  const removed = new Map<string, LfsObject>();
  for (const { path, content, before } of changes) {
    if (content === undefined && before !== undefined) removed.set(path, before);
  }
  const renames = new Map<string, string>();
  const pair = (path: string, from: string): void => {
    removed.delete(from);
    renames.set(path, from);
  };
  const isNew = (change: LargeChange): boolean => change.content !== undefined && !change.hadFile;
  const candidates = changes.filter(isNew);
  for (const { path, content } of candidates) {
    if (content?.kind === 'committed' && removed.has(content.entry.path)) pair(path, content.entry.path);
  }
  // Moved in another way, by a copy that was followed by a deletion, say.
  const byOid = new Map<string, string[]>();
  for (const [path, { oid }] of removed) byOid.set(oid, [...(byOid.get(oid) ?? []), path]);
  for (const change of candidates) {
    const oid = renames.has(change.path) ? undefined : known(change)?.oid;
    const from = oid === undefined ? undefined : byOid.get(oid)?.shift();
    if (from !== undefined) pair(change.path, from);
  }
  return renames;
}
