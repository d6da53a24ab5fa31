// The large files that a mount shows below paths, with the pointers that the commit has of them.
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../../lfs/pointer.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { isRegular, mergedObject } from '../merged-changes.ts';
import { type FoundFile, runPrefetch } from '../prefetch/prefetch-run.ts';
import type { LowerPointers } from './lower-pointers.ts';
import { shown } from './mount-content.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';

/** A large file whose content the commit has. */
export interface LargeFile extends LfsObject {
  /** Path in the mount, latin1. */
  readonly path: string;
  /** The Git blob of the pointer. */
  readonly blob: string;
}

/** What it needs. */
export interface LargeFilesParts extends Pick<
  MountLfsParts,
  | 'plain'
  | 'layer'
  | 'upperDir'
  | 'objects'
  | 'snapshot'
  | 'lowerAttributes'
  | 'anyPointer'
  | 'pointers'
  | 'log'
> {
  readonly lower: LowerPointers;
}

/** What could not be found out: a folder that could not be listed, or a pointer that could not be had. */
export interface LargeFileProblem {
  readonly path: string;
  readonly reason: string;
}

/** What was found. */
export interface FoundLargeFiles {
  readonly files: readonly LargeFile[];
  readonly problems: readonly LargeFileProblem[];
}

/**
 * Finds them; trees and pointers are fetched in batches, behind all demands. What the upper layer has the content of is
 * left out, what was moved is followed. Rejects with MountError for a path that is not there.
 */
export async function findLargeFiles(
  parts: LargeFilesParts,
  paths: readonly string[],
  onFound: (files: number) => void,
  signal: AbortSignal,
): Promise<FoundLargeFiles> {
  const candidates: FoundFile[] = [];
  const problems: LargeFileProblem[] = [];
  const upper = new UpperChanges(parts.upperDir);
  for (const path of paths) {
    const object = await mergedObject(parts.plain, upper, path, signal);
    if (object === undefined) {
      const report = await walk(parts, path, candidates, () => onFound(candidates.length), signal);
      for (const { path, error } of report.failures) problems.push({ path, reason: error });
    } else if (object.lower !== undefined) {
      // A file that was named is looked at without its folder.
      candidates.push({ path, entry: object.lower, size: parts.plain.knownSize(object.lower) });
    }
  }
  const told = new Set(problems.map((problem) => problem.path));
  const files: LargeFile[] = [];
  for (const { path, entry: found } of candidates) {
    try {
      // The walk makes entries from trees; those of the layer come from the layer.
      const entry = (await parts.plain.resolve(found.path, { signal, priority: 'prefetch' })) ?? found;
      // The configuration may leave files out that the attributes mark.
      const object = await parts.layer.object?.(entry, { signal, priority: 'prefetch' });
      const pointer = object === 'none' ? undefined : (object ?? (await parts.lower.of(entry, signal)));
      if (pointer !== undefined) files.push({ ...pointer, path, blob: entry.id });
    } catch (error) {
      signal.throwIfAborted();
      // The walk has told of it already where it fetched the blob.
      if (!told.has(shown(path))) problems.push({ path: shown(path), reason: (error as Error).message });
    }
  }
  return { files, problems };
}

function walk(
  parts: LargeFilesParts,
  path: string,
  candidates: FoundFile[],
  onProgress: () => void,
  signal: AbortSignal,
): ReturnType<typeof runPrefetch> {
  const { plain, snapshot, objects, upperDir, lowerAttributes, anyPointer, log, pointers } = parts;
  const onWarning = (message: string): void => log.info(message, { path: shown(path) });
  const choose = async (folder: string): Promise<(file: FoundFile) => boolean> => {
    const rules = await lowerAttributes.rules(folder, { signal });
    return (file) => {
      const { entry, size } = file;
      if (!isRegular(entry.mode) || pointers.blob(entry.id) === 'none') return false;
      if (size !== undefined && (size < POINTER_MIN_BYTES || size > POINTER_MAX_BYTES)) return false;
      if (!anyPointer && !rules.of(entry.name).isLfs) return false;
      candidates.push(file);
      return true;
    };
  };
  const walkParts = { snapshot, layer: plain, objects, upperDir, onWarning, choose };
  // As one pack it would bring all the rest of the folder as well.
  return runPrefetch(walkParts, { path: shown(path), pack: 'never' }, onProgress, signal);
}
