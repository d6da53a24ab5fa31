// Walks an upper folder: what was changed, at the cost of what was changed. The lower layer is not asked.
import { setImmediate as yieldTurn } from 'node:timers/promises';
import { UpperChanges, type UpperChange } from './upper-changes.ts';

/** How long the walk goes on before everybody else has a turn, in milliseconds. */
const SLICE_MS = 4;

/** A name in an upper folder. */
export interface UpperEntry extends UpperChange {
  readonly name: string;
  /**
   * Path in the lower layer of what shows here: the entries of a folder, the content of a file. No leading slash, latin1.
   * Undefined: nothing of it. Whether the lower layer has it is not known here.
   */
  readonly lowerPath: string | undefined;
}

/** A folder of the upper layer, with all names that the layer concerns. */
export interface UpperFolder {
  /** Names on the way to it, latin1; none for the root. */
  readonly names: readonly string[];
  /** Path of the lower folder whose entries show in it, where no upper one hides them; undefined: none. */
  readonly lowerPath: string | undefined;
  readonly entries: readonly UpperEntry[];
}

interface Waiting {
  readonly names: readonly string[];
  readonly lowerPath: string | undefined;
}

/**
 * All folders of an upper layer, each before those inside it. The overlay may change them meanwhile: what is told of one
 * folder is of one moment, and what is moved while the walk goes on may be met twice, or not at all. Throws the reason of
 * the signal.
 */
export async function* walkUpper(upperDir: string, signal?: AbortSignal): AsyncGenerator<UpperFolder> {
  const upper = new UpperChanges(upperDir);
  const waiting: Waiting[] = [{ names: [], lowerPath: '' }];
  let sliceEnd = performance.now() + SLICE_MS;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    signal?.throwIfAborted();
    const { names, lowerPath } = folder;
    const entries: UpperEntry[] = [];
    for (const [name, change] of upper.in(names)) {
      entries.push({ ...change, name, lowerPath: lowerPathOf(lowerPath, change.lower) });
    }
    for (const entry of entries) {
      if (entry.shows === 'folder') {
        waiting.push({ names: [...names, entry.name], lowerPath: entry.lowerPath });
      }
    }
    yield { names, lowerPath, entries };
    if (performance.now() < sliceEnd) continue;
    await yieldTurn();
    sliceEnd = performance.now() + SLICE_MS;
  }
}

/** Path of what an upper object stands for (see UpperChange.lower), in a folder that shows a lower one. */
function lowerPathOf(folder: string | undefined, lower: string | undefined): string | undefined {
  if (lower === undefined) return undefined;
  if (lower.startsWith('/')) return lower.slice(1);
  if (folder === undefined) return undefined;
  return folder === '' ? lower : `${folder}/${lower}`;
}
