// Making a running overlay show what changed around it: the layer's sizes and contents, and what the policy says.
import { constants } from 'node:fs';
import type { LayerEntry, Listing } from '../layers/layer.ts';
import { isWithin } from '../util/path-within.ts';
import type { OverlayCore } from './core.ts';
import type { OverlayControl } from './file-policy.ts';
import type { Inode } from './inode.ts';

/** What the kernel is told in a row: other notifications wait behind it. */
const INODES_AT_ONCE = 256;
const { S_IFMT, S_IFREG } = constants;

/** What of an inode the kernel forgets: an offset for `invalidateInode`. */
const ATTRIBUTES = -1;
const ATTRIBUTES_AND_DATA = 0;

/** Finds what the kernel knows of it, and has it forgotten. */
export class Control implements OverlayControl {
  readonly #core: OverlayCore;
  readonly #renew: (inode: Inode) => void;
  #isTellingAll = false;
  #isTellingAgain = false;

  /** @param renew lets go of the open content of a file of the lower layer */
  constructor(core: OverlayCore, renew: (inode: Inode) => void) {
    this.#core = core;
    this.#renew = renew;
  }

  policyChanged(path: string): void {
    this.#core.policyChanges++;
    const ino = this.#find(path);
    if (ino !== undefined) this.#core.notifier?.invalidateInode(ino, ATTRIBUTES, 0);
  }

  policyChangedEverywhere(): void {
    this.#core.policyChanges++;
    if (this.#isTellingAll) this.#isTellingAgain = true;
    else void this.#tellAll();
  }

  lowerChanged(folder: string, concerns: (entry: LayerEntry) => boolean): void {
    const { inodes } = this.#core;
    const isBelow = (path: string): boolean => folder === '' || isWithin(path, folder);
    const isConcerned = (entry: LayerEntry): boolean =>
      (entry.mode & S_IFMT) === S_IFREG && isBelow(entry.path) && concerns(entry);
    const changed: number[] = [];
    const folders: Inode[] = [];
    const files: Inode[] = [];
    for (const inode of inodes.objects()) {
      const { lower, directory } = inode;
      if (lower === undefined) continue;
      if (directory === undefined) {
        if (isConcerned(lower)) files.push(inode);
      } else if (isBelow(lower.path)) {
        directory.sizesLoaded = false;
        folders.push(inode);
      }
    }
    for (const ino of inodes.filesIn(folders)) {
      const at = inodes.fileAt(ino);
      const listing = at?.folder.directory?.listing as Listing;
      if (at !== undefined && isConcerned(listing.at(at.index))) changed.push(ino);
    }
    // Those that may be open at the end, and their new size before: the kernel waits for the reads of them.
    for (const inode of files) {
      changed.push(inode.ino);
      this.#core.notifier?.invalidateInode(inode.ino, ATTRIBUTES, 0);
      this.#renew(inode);
      this.#core.dropIfUnused(inode);
    }
    void this.#tell(changed, ATTRIBUTES_AND_DATA);
  }

  async #tellAll(): Promise<void> {
    this.#isTellingAll = true;
    try {
      do {
        this.#isTellingAgain = false;
        await this.#tell(this.#files(), ATTRIBUTES);
      } while (this.#isTellingAgain);
    } finally {
      this.#isTellingAll = false;
    }
  }

  /** The first ones at once. What is gone by its turn is no harm. */
  async #tell(inos: readonly number[], offset: number): Promise<void> {
    const { notifier, closing } = this.#core;
    for (let start = 0; start < inos.length && !closing.signal.aborted; start += INODES_AT_ONCE) {
      for (const ino of inos.slice(start, start + INODES_AT_ONCE)) notifier?.invalidateInode(ino, offset, 0);
      if (start + INODES_AT_ONCE < inos.length) await notifier?.delivered?.();
    }
  }

  /** Numbers of all regular files that the kernel may know; a file that was a row may be a symlink. */
  #files(): number[] {
    const { inodes } = this.#core;
    const files: number[] = [];
    const folders: Inode[] = [];
    for (const inode of inodes.objects()) {
      if (inode.directory !== undefined) folders.push(inode);
      else if (inode.type === S_IFREG) files.push(inode.ino);
    }
    return [...files, ...inodes.filesIn(folders)];
  }

  /** Number of what is known under a path of the mount; undefined: the kernel has not seen it. */
  #find(path: string): number | undefined {
    const { inodes } = this.#core;
    const names = path.split('/');
    const last = names.pop() ?? '';
    let folder: Inode | undefined = inodes.get(1);
    for (const name of names) folder = folder?.directory?.children.get(name);
    if (folder?.directory === undefined) return undefined;
    const object = folder.directory.children.get(last);
    if (object !== undefined) return object.ino;
    const ino = inodes.childIno(folder, last);
    const place = inodes.placeOf(ino);
    return place?.parent === folder && place.name === last ? ino : undefined;
  }
}
