// Knows the attributes of a mount's folders: the repository's, with what the user edits in the mount in their place.
import type { LayerEntry } from '../../layers/layer.ts';
import type { AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import type { AttributeRequest, AttributeSource } from '../../lfs/attributes/attribute-source.ts';
import { POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../../lfs/pointer.ts';
import type { OverlayControl, OverlayListener } from '../../overlay/file-policy.ts';
import { chain } from '../../util/chain.ts';
import type { Awaitable } from '../../util/types.ts';
import {
  AttributeFolders,
  type AttributeFoldersParts,
  GITATTRIBUTES,
  LIBRA_ATTRIBUTES,
} from './attribute-folders.ts';
import type { GlobalAttributes } from './global-attributes.ts';
import type { MergedAttributes } from './mount-lfs-parts.ts';

/** Telling the overlay of changes may take this long in a row, then a share of the time: the rest belongs to others. */
const TELLING_MS_MAX = 500;
const TELLING_SHARE = 0.2;
/** Editors empty a file before they write it: for so long one that is empty does not count as a change. Milliseconds. */
const EMPTIED_MS = 100;
/** Folders whose new rules are found at once; of more, the root's alone. */
const FOLDERS_MAX = 16;

/** What a tracker is made of. */
export interface AttributeTrackerParts extends AttributeFoldersParts {
  readonly global: GlobalAttributes;
  /** How long a file that was emptied may stay so before it counts, in milliseconds; default 100. */
  readonly emptiedMs?: number;
}

/** Attributes of one mount. */
export interface AttributeTracker extends MergedAttributes {
  /** For the lower layer. */
  readonly source: AttributeSource;
  /** The rules of a folder of the mount (as of `mergedRules`) if they are in memory. */
  knownMergedRules(folder: string): AttributeRules | undefined;
  /** Whether an attribute file that was read speaks of `lockable`; where not, no file is. */
  readonly mayHaveLockable: boolean;
  /** For the overlay: hears of the user's edits. */
  readonly listener: OverlayListener;
  /** Whom to tell that lower files read otherwise now. */
  attach(control: OverlayControl): void;
  /** Ends what runs; no method may be called afterwards, but those of the listener. */
  close(): void;
}

/**
 * Makes a tracker. Attribute files are read when the folder is asked about for the first time. In a lower folder, the
 * user's edits count as long as the mount shows it under its own path; one that was moved has what the repository says of
 * it. One that cannot be read, or is too large, counts as empty, with a warning.
 */
export function createAttributeTracker(parts: AttributeTrackerParts): AttributeTracker {
  return new Tracker(parts);
}

class Tracker implements AttributeTracker {
  readonly source: AttributeSource;
  readonly listener: OverlayListener;
  readonly #parts: AttributeTrackerParts;
  readonly #folders: AttributeFolders;
  readonly #stopListening: () => void;
  #control: OverlayControl | undefined;
  /** Folders of the mount whose attribute files changed and of which the overlay was not told. */
  #untold = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  /** Folders in which an attribute file is empty just now. */
  readonly #emptied = new Map<string, NodeJS.Timeout>();
  /** What was spent on telling, beyond its share until `#countedAt`; milliseconds. */
  #spentMs = 0;
  #countedAt = 0;
  #isClosed = false;

  constructor(parts: AttributeTrackerParts) {
    this.#parts = parts;
    this.#folders = new AttributeFolders(parts);
    this.#stopListening = parts.global.onChange(() => this.#changed(''));
    this.source = {
      knownRules: (folder) => this.#folders.knownLowerRules(folder),
      rules: (folder, request?: AttributeRequest) => this.#folders.lowerRules(folder, request?.signal),
    };
    this.listener = {
      names: new Set([GITATTRIBUTES, LIBRA_ATTRIBUTES]),
      fileChanged: (folder, name) => {
        if (name !== GITATTRIBUTES && folder !== '') return;
        if (this.#folders.isEmpty(folder, name)) this.#changedSoon(folder);
        else this.#changed(folder);
      },
      folderChanged: (path) => {
        if (this.#folders.hasEditsBelow(path)) this.#changed(path);
        else this.#folders.moved(path);
      },
    };
  }

  get mayHaveLockable(): boolean {
    return this.#folders.mayHaveLockable;
  }

  mergedRules(folder: string, signal?: AbortSignal): Awaitable<AttributeRules> {
    return this.#folders.mergedRules(folder, signal);
  }

  knownMergedRules(folder: string): AttributeRules | undefined {
    return this.#folders.knownMergedRules(folder);
  }

  attach(control: OverlayControl): void {
    this.#control = control;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const timer of this.#emptied.values()) clearTimeout(timer);
    this.#stopListening();
    this.#folders.close();
  }

  /** Large files must not read as pointers for the moment between emptying a file and writing it. */
  #changedSoon(folder: string): void {
    const { emptiedMs = EMPTIED_MS } = this.#parts;
    if (this.#isClosed || emptiedMs === 0) return this.#changed(folder);
    if (this.#emptied.has(folder)) return;
    this.#emptied.set(folder, setTimeout(() => this.#changed(folder), emptiedMs).unref());
  }

  #changed(folder: string): void {
    clearTimeout(this.#emptied.get(folder));
    this.#emptied.delete(folder);
    if (this.#isClosed) return;
    this.#folders.edited(folder);
    this.#untold.add(folder);
    if (this.#timer !== undefined) return;
    const now = performance.now();
    this.#spentMs = Math.max(0, this.#spentMs - (now - this.#countedAt) * TELLING_SHARE);
    this.#countedAt = now;
    const tooMuchMs = this.#spentMs - TELLING_MS_MAX;
    // At once: whoever wrote the file looks at the others as soon as its write has returned.
    if (tooMuchMs <= 0) this.#tell();
    else this.#timer = setTimeout(() => this.#tell(), tooMuchMs / TELLING_SHARE).unref();
  }

  #tell(): void {
    this.#timer = undefined;
    const folders = this.#untold.size > FOLDERS_MAX ? [''] : [...this.#untold];
    this.#untold = new Set();
    const start = performance.now();
    try {
      const concerns = this.#folders.changeOfLower((entry) => this.#mayBePointer(entry));
      for (const folder of folders) this.#readAgain(folder);
      // Everywhere: what a program does at once may be several changes here, and the rules have all of them by now.
      this.#control?.lowerChanged('', concerns);
    } catch (error) {
      // The overlay's operation that changed the file must not fail for it.
      this.#warn(error);
    }
    this.#spentMs += performance.now() - start;
  }

  /** So that the new rules are at hand, and the policy hears of locks that they are the first to speak of. */
  #readAgain(folder: string): void {
    try {
      const told = chain(this.#folders.mergedRules(folder), () => {
        if (this.mayHaveLockable && !this.#isClosed) this.#control?.policyChangedEverywhere();
      });
      if (told instanceof Promise) told.catch((error: unknown) => this.#warn(error));
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (this.#isClosed) return;
    const reason = (error as Error).message;
    this.#parts.onWarning(`attributes changed, but some files may still show the old ones: ${reason}`);
  }

  #mayBePointer(entry: LayerEntry): boolean {
    const size = this.#parts.plain.knownSize(entry);
    return size === undefined || (size >= POINTER_MIN_BYTES && size <= POINTER_MAX_BYTES);
  }
}
