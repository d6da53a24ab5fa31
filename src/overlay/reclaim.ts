// Making the kernel forget what it has not used for long: it keeps references as long as it has memory itself.
//
// Nothing that a process uses may be touched: its working folder would be "(deleted)" to it. Linux 6.18 can be asked to
// let go of unused inodes and judges that itself. An older one can only be told that a name is no longer valid, which it
// believes in any case; so the paths that are in use are looked up before.
import { setTimeout as delay } from 'node:timers/promises';
import type { OverlayCore } from './core.ts';
import type { Inode } from './inode.ts';
import { pathIn, pathOf } from './inode-path.ts';

/** Finds the paths in a mount that processes use (latin1, relative to its root); undefined when that is uncertain. */
export type FindPathsInUse = () => Promise<ReadonlySet<string> | undefined>;

/** How long the kernel is given to forget. */
const FORGET_MS = 20;
/** Names that are told in a row: other notifications wait behind them. */
const NAMES_AT_ONCE = 256;

/** Gives memory of an overlay back. */
export class Reclaimer {
  readonly #core: OverlayCore;
  readonly #findPathsInUse: FindPathsInUse | undefined;
  /** Whether the kernel can be asked. */
  #canPrune: boolean;

  constructor(core: OverlayCore, findPathsInUse: FindPathsInUse | undefined) {
    this.#core = core;
    this.#findPathsInUse = findPathsInUse;
    this.#canPrune = core.notifier?.prune !== undefined;
  }

  /** Tries to give so many bytes back, of the folders that were not used for the longest time. Never rejects. */
  async reclaim(bytes: number): Promise<void> {
    const { inodes } = this.#core;
    this.#core.clock++;
    const before = inodes.byteLength;
    inodes.shrinkAll();
    const coldest = this.#coldestFolders(bytes - (before - inodes.byteLength));
    if (coldest.length === 0) return;
    const known = await this.#letGo(coldest);
    // Folders that the kernel still knows, though nothing in them: in use, or it remembers which names they lack.
    const rest = coldest.filter((folder) => isEmptied(folder) && inodes.has(folder));
    if (rest.length === 0) return;
    const used = known ?? (await this.#findPathsInUse?.());
    if (used === undefined) return;
    await this.#tellNames(
      rest.map((folder) => [folder, pathOf(folder)] as const).filter(([, path]) => !used.has(path)),
    );
    await this.#pruneFolders(coldest);
  }

  /** The folders whose content takes so many bytes, the deepest first. */
  #coldestFolders(bytes: number): Inode[] {
    const { inodes } = this.#core;
    const folders: Inode[] = [];
    for (const inode of inodes.objects()) if (inode.directory !== undefined) folders.push(inode);
    folders.sort((a, b) => usedAt(a) - usedAt(b));
    const chosen: Inode[] = [];
    let sum = 0;
    for (const folder of folders) {
      if (sum >= bytes) break;
      sum += inodes.bytesOf(folder);
      chosen.push(folder);
    }
    const depths = new Map(chosen.map((folder) => [folder, depthOf(folder)]));
    return chosen.sort((a, b) => (depths.get(b) ?? 0) - (depths.get(a) ?? 0));
  }

  /** Resolves with the paths in use where they were needed. */
  async #letGo(folders: readonly Inode[]): Promise<ReadonlySet<string> | undefined> {
    const { notifier } = this.#core;
    if (this.#canPrune) {
      const inos = [...this.#spareIn(folders), ...folders.map((folder) => folder.ino)];
      this.#canPrune = (await notifier?.prune?.(inos)) === true;
      await delay(FORGET_MS);
    }
    if (this.#canPrune) return undefined;
    const used = await this.#findPathsInUse?.();
    if (used !== undefined) await this.#invalidate(folders, used);
    return used;
  }

  /** Numbers of the files in folders that nothing here needs. */
  #spareIn(folders: readonly Inode[]): number[] {
    const { inodes } = this.#core;
    const files = inodes.filesIn(folders);
    for (const { directory } of folders) {
      for (const child of directory?.children.values() ?? []) {
        if (child.directory === undefined && inodes.isSpare(child)) files.push(child.ino);
      }
    }
    return files;
  }

  /** A folder takes all in it along; where something in it is used, or not cold, its files are told one by one. */
  async #invalidate(folders: readonly Inode[], used: ReadonlySet<string>): Promise<void> {
    const { inodes, notifier } = this.#core;
    const cold = new Set(folders);
    const busy = withAncestors(used);
    const partly = folders.filter((folder) => {
      const { parent, directory } = folder;
      if (parent === undefined || busy.has(pathOf(folder))) return true;
      for (const child of directory?.children.values() ?? []) {
        if (child.directory === undefined ? !inodes.isSpare(child) : !cold.has(child)) return true;
      }
      notifier?.invalidateEntry(parent.ino, folder.name);
      return false;
    });
    await notifier?.delivered?.();
    const files = this.#spareIn(partly);
    for (let start = 0; start < files.length; start += NAMES_AT_ONCE) {
      for (const ino of files.slice(start, start + NAMES_AT_ONCE)) {
        // It may be another one by now, or none.
        const place = inodes.placeOf(ino);
        if (place === undefined || used.has(pathIn(place.parent, place.name))) continue;
        notifier?.invalidateEntry(place.parent.ino, place.name);
      }
      await notifier?.delivered?.();
    }
    await delay(FORGET_MS);
  }

  async #tellNames(folders: readonly (readonly [Inode, string])[]): Promise<void> {
    for (const [folder] of folders) {
      if (folder.parent !== undefined && isEmptied(folder)) {
        this.#core.notifier?.invalidateEntry(folder.parent.ino, folder.name);
      }
    }
    await this.#core.notifier?.delivered?.();
    await delay(FORGET_MS);
  }

  async #pruneFolders(folders: readonly Inode[]): Promise<void> {
    if (this.#canPrune) await this.#core.notifier?.prune?.(folders.map((folder) => folder.ino));
  }
}

const usedAt = (folder: Inode): number => folder.directory?.used ?? 0;

/** Whether the kernel knows nothing in the folder. */
function isEmptied({ directory, parent }: Inode): boolean {
  return (
    directory !== undefined && parent !== undefined && directory.known === 0 && directory.children.size === 0
  );
}

function depthOf(inode: Inode): number {
  let depth = 0;
  for (let at = inode.parent; at !== undefined; at = at.parent) depth++;
  return depth;
}

/** Paths, and those of all folders above them. */
function withAncestors(paths: ReadonlySet<string>): ReadonlySet<string> {
  const all = new Set<string>();
  for (const path of paths) {
    for (let at = path; !all.has(at); at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) all.add(at);
  }
  return all;
}
