// Walks an upper folder: what was changed, at the cost of what was changed. The lower layer is not asked.
import { Turns } from '../util/turns.ts';
import { UpperChanges, type UpperChange } from './upper-changes.ts';

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
 * All folders of an upper layer, each before those inside it. The overlay may change them meanwhile: what is moved while
 * the walk goes on may be met twice, or not at all. Throws the reason of the signal.
 */
export async function* walkUpper(upperDir: string, signal?: AbortSignal): AsyncGenerator<UpperFolder> {
  const upper = new UpperChanges(upperDir);
  const waiting: Waiting[] = [{ names: [], lowerPath: '' }];
  const turns = new Turns();
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    signal?.throwIfAborted();
    const { names, lowerPath } = folder;
    const entries: UpperEntry[] = [];
    for (const [name, change] of await readFolder(upper, names, turns, signal)) {
      entries.push({ ...change, name, lowerPath: lowerPathOf(lowerPath, change.lower) });
    }
    for (const entry of entries) {
      if (entry.shows === 'folder') {
        waiting.push({ names: [...names, entry.name], lowerPath: entry.lowerPath });
      }
    }
    yield { names, lowerPath, entries };
    await turns.give();
  }
}

/** One folder, which may have very many names. */
async function readFolder(
  upper: UpperChanges,
  path: readonly string[],
  turns: Turns,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, UpperChange>> {
  const changes = new Map<string, UpperChange>();
  const names = upper.names(path);
  let pause: Promise<void> | undefined;
  const mayGoOn = (): boolean => (pause = turns.give()) === undefined;
  for (let done = 0; done < names.length;) {
    done += upper.add(path, done === 0 ? names : names.slice(done), changes, mayGoOn);
    await pause;
    signal?.throwIfAborted();
  }
  return changes;
}

/** Path of what an upper object stands for (see UpperChange.lower), in a folder that shows a lower one. */
function lowerPathOf(folder: string | undefined, lower: string | undefined): string | undefined {
  if (lower === undefined) return undefined;
  if (lower.startsWith('/')) return lower.slice(1);
  if (folder === undefined) return undefined;
  return folder === '' ? lower : `${folder}/${lower}`;
}
