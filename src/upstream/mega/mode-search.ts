// Finds a tree's bytes when names and ids are known but modes are not: the tree's id tells which guess is right.
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ObjectId } from '../../util/types.ts';
import { compareTreeEntries, encodeRawTree, kindOfMode } from '../../git/raw-tree.ts';
import type { RawTreeEntry } from '../../git/raw-tree.ts';
import type { HashedEntry } from './envelope.ts';

/** Bounds of a search. */
export interface ModeSearchLimits {
  /** Guesses that are hashed. */
  readonly maxTries: number;
  /** Bytes that are hashed. */
  readonly maxBytes: number;
}

/** A second or two of one core. */
const DEFAULT_LIMITS: ModeSearchLimits = { maxTries: 400_000, maxBytes: 1024 ** 3 };

/** Milliseconds of hashing between two turns of the event loop. */
const SLICE_MS = 8;

/** Entries that may differ from the first guess all at once. */
const MAX_FLIPS = 3;

const DIRECTORY_MODE = 0o40000;
const FILE_MODES: readonly number[] = [0o100644, 0o100755, 0o120000, 0o160000];

/** One order of the entries, encoded with each mode that they may have: the first guess is at index 0. */
type Candidate = readonly (readonly Buffer[])[];

function encodeCandidate(entries: readonly HashedEntry[], hints: ReadonlyMap<string, number>): Candidate {
  return entries.map(({ name, oid: id, isDirectory }) => {
    if (isDirectory) return [encodeRawTree([{ mode: DIRECTORY_MODE, name, id }])];
    const hint = hints.get(name);
    const modes = hint === undefined ? FILE_MODES : [hint, ...FILE_MODES.filter((mode) => mode !== hint)];
    return modes.map((mode) => encodeRawTree([{ mode, name, id }]));
  });
}

/** Git's order, for which it is enough to know what is a directory. */
function compareHashed(left: HashedEntry, right: HashedEntry): number {
  const known = ({ name, isDirectory }: HashedEntry): Pick<RawTreeEntry, 'mode' | 'name'> => ({
    name,
    mode: isDirectory ? DIRECTORY_MODE : 0o100644,
  });
  return compareTreeEntries(known(left), known(right));
}

/** The orders that the tree may be in: Git's, as received, and that of its newer version. */
function ordersOf(entries: readonly HashedEntry[], newer: readonly RawTreeEntry[]): HashedEntry[][] {
  const rank = new Map(newer.map(({ name }, index) => [name, index]));
  const orders = [
    [...entries].sort(compareHashed),
    [...entries],
    [...entries].sort((a, b) => (rank.get(a.name) ?? Infinity) - (rank.get(b.name) ?? Infinity) || 0),
  ];
  const seen = new Set<string>();
  return orders.filter((order) => {
    const key = order.map(({ name }) => name).join('\0');
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** The rest of a payload in its first guess, from entry `index` on. */
function createTails(candidate: Candidate): (index: number) => Buffer {
  const base = Buffer.concat(candidate.map(([first]) => first as Buffer));
  const offsets = [0];
  for (const [first] of candidate) offsets.push((offsets.at(-1) ?? 0) + (first as Buffer).length);
  return (index) => base.subarray(offsets[index]);
}

interface Guess {
  readonly id: ObjectId;
  /** Bytes that were hashed for it. */
  readonly cost: number;
  /** Index of entry and of its mode, for those that differ from the first guess. */
  readonly flips: readonly (readonly [number, number])[];
}

/** All guesses that differ in exactly `flips` entries; what comes before the first difference is hashed only once. */
function* guesses(
  candidate: Candidate,
  tailFrom: (index: number) => Buffer,
  flips: number,
  from: number,
  prefix: Hash,
  done: readonly (readonly [number, number])[],
): Generator<Guess> {
  if (flips === 0) {
    const tail = tailFrom(from);
    yield { id: prefix.copy().update(tail).digest('hex'), cost: tail.length, flips: done };
    return;
  }
  const state = prefix.copy();
  for (let index = from; index <= candidate.length - flips; index++) {
    const encodings = candidate[index] ?? [];
    for (let mode = 1; mode < encodings.length; mode++) {
      const changed = state.copy().update(encodings[mode] as Buffer);
      yield* guesses(candidate, tailFrom, flips - 1, index + 1, changed, [...done, [index, mode]]);
    }
    state.update(encodings[0] as Buffer);
  }
}

/**
 * The payload that hashes to `id`, made of these entries. `newer` is another version of the same tree: entries of the
 * same name are guessed to have the mode that they have there. Undefined when no guess within the limits fits. Rejects
 * with the signal's reason.
 */
export async function searchModes(
  id: ObjectId,
  entries: readonly HashedEntry[],
  newer: readonly RawTreeEntry[],
  signal?: AbortSignal,
  limits: ModeSearchLimits = DEFAULT_LIMITS,
): Promise<Buffer | undefined> {
  const hints = new Map<string, number>();
  // A hint may be another mode of files (100664 exists), but no directory's.
  for (const { name, mode } of newer) if (kindOfMode(mode) !== 'directory') hints.set(name, mode);
  const prepared = ordersOf(entries, newer).map((order) => {
    const candidate = encodeCandidate(order, hints);
    const tailFrom = createTails(candidate);
    // All modes of files have the same length, so the header is the same for every guess.
    const header = createHash('sha1').update(`tree ${tailFrom(0).length}\0`);
    return { candidate, tailFrom, header };
  });
  let tries = 0;
  let bytes = 0;
  let sliceEnd = performance.now() + SLICE_MS;
  for (let flips = 0; flips <= MAX_FLIPS; flips++) {
    for (const { candidate, tailFrom, header } of prepared) {
      for (const guess of guesses(candidate, tailFrom, flips, 0, header, [])) {
        if (guess.id === id) {
          const chosen = new Map(guess.flips);
          return Buffer.concat(candidate.map((modes, index) => modes[chosen.get(index) ?? 0] as Buffer));
        }
        bytes += guess.cost;
        if (++tries >= limits.maxTries || bytes >= limits.maxBytes) return undefined;
        if (performance.now() < sliceEnd) continue;
        await nextTurn();
        signal?.throwIfAborted();
        sliceEnd = performance.now() + SLICE_MS;
      }
    }
  }
  return undefined;
}
