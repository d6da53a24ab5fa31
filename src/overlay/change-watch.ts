// Telling somebody of changes to files of certain names, and of folders that move.
import type { OverlayListener } from './file-policy.ts';
import type { Inode } from './inode.ts';
import { pathIn, pathOf } from './inode-path.ts';

/**
 * Passes changes on to a listener, if there is one: after they took effect, and one after the other, also those that
 * come of what the listener does.
 */
export class ChangeWatch {
  readonly #listener: OverlayListener | undefined;
  readonly #queue: (() => void)[] = [];
  #isTelling = false;

  constructor(listener: OverlayListener | undefined) {
    this.#listener = listener;
  }

  /** Whether a name is one of those that are watched. */
  isWatched(name: string): boolean {
    return this.#listener?.names.has(name) === true;
  }

  /** Whether a file has such a name. */
  isWatchedFile(inode: Inode): boolean {
    if (this.#listener === undefined || inode.directory !== undefined) return false;
    if (this.isWatched(inode.name)) return true;
    for (const { name } of inode.aliases ?? []) if (this.isWatched(name)) return true;
    return false;
  }

  /** A name was given to an object, or taken from it, but not made with it. */
  moved(parent: Inode, name: string, inode: Inode): void {
    if (inode.directory === undefined) this.named(parent, name);
    else this.#tell((listener) => listener.folderChanged(pathIn(parent, name)));
  }

  /** A name of something else than a folder was made or removed. */
  named(parent: Inode, name: string): void {
    if (this.isWatched(name)) this.#tell((listener) => listener.fileChanged(pathOf(parent), name));
  }

  /** The content of a file changed. */
  written(inode: Inode): void {
    if (!this.isWatchedFile(inode)) return;
    if (inode.parent !== undefined) this.named(inode.parent, inode.name);
    for (const { parent, name } of inode.aliases ?? []) this.named(parent, name);
  }

  #tell(call: (listener: OverlayListener) => void): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#queue.push(() => call(listener));
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#isTelling = false;
    }
  }
}
