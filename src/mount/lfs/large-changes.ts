// Which large files a mount changed: from what differs from the commit, and what the attributes say of it.
import { closeSync } from 'node:fs';
import type { LayerEntry } from '../../layers/layer.ts';
import type { AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { parsePointer, POINTER_MAX_BYTES, POINTER_MIN_BYTES } from '../../lfs/pointer.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { eachLimited } from '../../util/each-limited.ts';
import type { Stat } from '../../util/syscall.ts';
import { Turns } from '../../util/turns.ts';
import { isRegular, type MergedChange, mergedChanges } from '../merged-changes.ts';
import { namesOf } from '../prefetch/lower-folder.ts';
import { type LowerPointers, readPointer } from './lower-pointers.ts';
import type { MountLfsParts } from './mount-lfs-parts.ts';

/** Files that are looked at at once: of some, a blob has to be fetched. */
const FILES_AT_ONCE = 16;
const ATTRIBUTE_FILES = new Set(['.gitattributes', '.libra_attributes']);

/** Where the content of a file is. */
export type LargeContent =
  /** Of a pointer that the commit has, under this path or another. */
  | { readonly kind: 'committed'; readonly pointer: LfsObject; readonly entry: LayerEntry }
  /** The upper layer has a pointer, which the user wrote. */
  | { readonly kind: 'pointer'; readonly pointer: LfsObject; readonly stat: Stat }
  /** In the upper layer. */
  | { readonly kind: 'upper'; readonly stat: Stat }
  /** An ordinary file of the commit, which is now where the attributes mark it. */
  | { readonly kind: 'ordinary'; readonly entry: LayerEntry };

/** A file that is large, or was. */
export interface LargeChange {
  /** Latin1, no leading slash. */
  readonly path: string;
  /** Whether it is large now. */
  readonly isLfs: boolean;
  /** The pointer that the commit has under the path. */
  readonly before: LfsObject | undefined;
  /** Whether the commit has any file under the path. */
  readonly hadFile: boolean;
  /** Undefined: it was removed. */
  readonly content: LargeContent | undefined;
  /** Bytes of an ordinary file. */
  readonly size: number;
}

/** Tells what a mount changed about large files. */
export interface LargeChanges {
  /** All of them, by path. */
  collect(signal: AbortSignal): Promise<readonly LargeChange[]>;
  /** What is known of one path's change; undefined: it is no large file, and was none. */
  look(change: MergedChange, signal: AbortSignal): Promise<LargeChange | undefined>;
}

type Parts = Pick<MountLfsParts, 'plain' | 'upperDir' | 'attributes' | 'lowerAttributes'> & {
  readonly lower: LowerPointers;
};

/** Makes it. */
export function createLargeChanges(parts: Parts): LargeChanges {
  return {
    async collect(signal) {
      const all: MergedChange[] = [];
      for await (const change of mergedChanges(parts.plain, parts.upperDir, signal)) {
        if (concernsFiles(change)) all.push(change);
      }
      const view = new View(parts, signal, all.some(isAttributeFile));
      const found: LargeChange[] = [];
      const turns = new Turns();
      await eachLimited(all, FILES_AT_ONCE, async (change) => {
        await turns.give();
        const large = await view.look(change);
        if (large !== undefined) found.push(large);
      });
      return found.sort((one, other) => (one.path < other.path ? -1 : 1));
    },
    look: (change, signal) => new View(parts, signal, true).look(change),
  };
}

function concernsFiles({ before, after }: MergedChange): boolean {
  return (
    (before !== undefined && isRegular(before.mode)) || (after !== undefined && modeOf(after) !== undefined)
  );
}

/** Mode of a regular file; undefined for anything else. */
function modeOf({ upper, lower }: NonNullable<MergedChange['after']>): number | undefined {
  const mode = upper?.mode ?? lower?.mode ?? 0;
  return isRegular(mode) ? mode : undefined;
}

function isAttributeFile({ path }: MergedChange): boolean {
  return ATTRIBUTE_FILES.has(path.slice(path.lastIndexOf('/') + 1));
}

/** Looks at changes with the attributes of one moment. */
class View {
  readonly #parts: Parts;
  readonly #signal: AbortSignal;
  readonly #upper: UpperChanges;
  /** Whether attributes were edited: a file may have been large that none of them marks now. */
  readonly #edited: boolean;
  readonly #merged = new Map<string, Promise<AttributeRules>>();

  constructor(parts: Parts, signal: AbortSignal, edited: boolean) {
    this.#parts = parts;
    this.#signal = signal;
    this.#edited = edited;
    this.#upper = new UpperChanges(parts.upperDir);
  }

  async look({ path, before: old, after }: MergedChange): Promise<LargeChange | undefined> {
    const [folder, name] = split(path);
    const hadFile = old !== undefined && isRegular(old.mode);
    if (after === undefined || modeOf(after) === undefined) {
      const before = hadFile ? await this.#removed(old) : undefined;
      if (before === undefined) return undefined;
      return { path, isLfs: false, before, hadFile, content: undefined, size: 0 };
    }
    const isMarked = (await this.#rules(folder)).of(name).isLfs;
    const before = hadFile ? await this.#before(old, isMarked) : undefined;
    const content = await this.#content(path, after, isMarked || before !== undefined);
    // An ordinary file whose content did not change stays one: the attributes concern what is added anew.
    const isSame = content?.kind === 'ordinary' && content.entry.id === old?.id;
    const isLfs = isMarked && content !== undefined && !isSame;
    const isKept = content?.kind === 'committed' && content.entry.id === old?.id;
    const wasLarge = before !== undefined || content?.kind === 'committed';
    if (!isLfs && (!wasLarge || isKept)) return undefined;
    const size = after.upper?.size ?? 0;
    return { path, isLfs, before, hadFile, content, size };
  }

  async #content(
    path: string,
    { upper, lower }: NonNullable<MergedChange['after']>,
    isWanted: boolean,
  ): Promise<LargeContent | undefined> {
    if (lower !== undefined) {
      // One that was moved to where nothing marks it was large all the same.
      const isKnown = !isWanted && typeof this.#parts.lower.known(lower) === 'object';
      if (!isWanted && !isKnown) return undefined;
      const pointer = await this.#parts.lower.of(lower, this.#signal);
      return pointer === undefined
        ? { kind: 'ordinary', entry: lower }
        : { kind: 'committed', pointer, entry: lower };
    }
    if (!isWanted) return undefined;
    const stat = upper as Stat;
    const pointer = this.#writtenPointer(path, stat);
    return pointer === undefined ? { kind: 'upper', stat } : { kind: 'pointer', pointer, stat };
  }

  /** The pointer that a file of the upper layer is, where it is one. */
  #writtenPointer(path: string, { size }: Stat): LfsObject | undefined {
    if (size < POINTER_MIN_BYTES || size > POINTER_MAX_BYTES) return undefined;
    const fd = this.#upper.open(namesOf(path));
    if (fd === undefined) return undefined;
    try {
      const pointer = parsePointer(readPointer(fd));
      return pointer === undefined ? undefined : { oid: pointer.oid, size: pointer.size };
    } finally {
      closeSync(fd);
    }
  }

  /** What the commit has a pointer of, under a path that shows another file now, or the same. */
  async #before(old: LayerEntry, isMarked: boolean): Promise<LfsObject | undefined> {
    const { lower } = this.#parts;
    // A blob is fetched only where there is a reason to think that it is a pointer.
    if (isMarked || this.#edited) return lower.of(old, this.#signal);
    const known = lower.known(old);
    return known === 'none' ? undefined : known;
  }

  async #removed(old: LayerEntry): Promise<LfsObject | undefined> {
    const { lower, lowerAttributes } = this.#parts;
    const known = lower.known(old);
    if (known !== undefined) return known === 'none' ? undefined : known;
    const [folder, name] = split(old.path);
    const rules = await lowerAttributes.rules(folder, { signal: this.#signal });
    return rules.of(name).isLfs ? lower.of(old, this.#signal) : undefined;
  }

  #rules(folder: string): Promise<AttributeRules> {
    let rules = this.#merged.get(folder);
    if (rules === undefined) {
      rules = (async () => this.#parts.attributes.mergedRules(folder, this.#signal))();
      this.#merged.set(folder, rules);
    }
    return rules;
  }
}

/** Folder and name of a path. */
export function split(path: string): [folder: string, name: string] {
  const slash = path.lastIndexOf('/');
  return [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
}
