// A folder as a mount shows it: what of it is the lower layer's, and what lies in it.
import type { Layer, LayerEntry } from '../../layers/layer.ts';
import { isFolderMode, isSymlinkMode } from '../../layers/tree-table.ts';
import type { UpperChanges } from '../../overlay/upper-changes.ts';
import { MountError } from '../mount-error.ts';

/** A folder of a mount. */
export interface LowerFolder {
  /** Path in the mount, `/`-separated, latin1; empty for the root. */
  readonly path: string;
  /** The lower folder that it shows; undefined where it is the upper layer's alone. */
  readonly lower: LayerEntry | undefined;
  /** Whether the upper layer has it, so that things in it may be hidden or come from elsewhere. */
  readonly hasUpper: boolean;
}

/** The names of a path; none for the root. */
export function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

/** The path of a name in a folder. */
export function joinPath(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** Where lower entries are found, and what hides them. */
export interface LowerView {
  readonly layer: Layer;
  readonly upper: UpperChanges;
  readonly signal: AbortSignal;
}

/** The lower entry that an upper object stands for (see UpperChange.lower), if the layer has it. */
export async function resolveLower(
  { layer, signal }: LowerView,
  beside: LayerEntry | undefined,
  lower: string | undefined,
): Promise<LayerEntry | undefined> {
  if (lower === undefined) return undefined;
  if (lower.startsWith('/')) return layer.resolve(lower.slice(1), { signal });
  if (beside === undefined) return undefined;
  return (await layer.list(beside, { signal })).get(lower);
}

/** The folder at a path of the mount (latin1). Rejects with MountError when there is none. */
export async function findFolder(view: LowerView, path: string): Promise<LowerFolder> {
  let folder: LowerFolder = { path: '', lower: view.layer.root, hasUpper: true };
  for (const name of namesOf(path)) folder = await enter(view, folder, name);
  return folder;
}

async function enter(view: LowerView, folder: LowerFolder, name: string): Promise<LowerFolder> {
  const path = joinPath(folder.path, name);
  const shown = Buffer.from(path, 'latin1').toString('utf8');
  const change = folder.hasUpper ? view.upper.at(namesOf(folder.path), name) : undefined;
  if (change !== undefined && change.shows !== 'folder') {
    throw new MountError('invalid', `${shown}: what is there was written or removed in the mount`);
  }
  const lower = await resolveLower(view, folder.lower, change === undefined ? name : change.lower);
  const isFolder = lower !== undefined && isFolderMode(lower.mode);
  if (change !== undefined) return { path, lower: isFolder ? lower : undefined, hasUpper: true };
  if (lower === undefined)
    throw new MountError('not-found', `${shown}: there is no such folder in the mount`);
  if (isSymlinkMode(lower.mode)) {
    throw new MountError('invalid', `${shown} is a symbolic link; name the folder that it leads to`);
  }
  if (!isFolder) {
    throw new MountError('invalid', `${shown} is a file; name its folder, and the file with --include`);
  }
  return { path, lower, hasUpper: false };
}
