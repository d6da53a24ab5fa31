// Finding the LFS server: the first place whose batch route answers, remembered.
import { LfsError } from '../lfs-error.ts';
import { linkAbort } from '../../util/abort-link.ts';
import { shownUrl, abortedError } from './failures.ts';
import type { Place } from './endpoint.ts';
import { orAborted } from '../../util/or-aborted.ts';

/** How long "there is none" is remembered, so that not each file that is opened asks all places anew. */
const NOT_FOUND_MS = 30_000;

/** Asks one place something; `no-lfs`: there is no LFS server. Rejects where that cannot be told (it is down, say). */
export type Probe<T> = (url: URL, signal: AbortSignal) => Promise<T | 'no-lfs'>;

/** Knows, or finds out, where the server is. */
export interface ServerFinder {
  /** Undefined while it is not known. */
  readonly known: URL | undefined;
  /** Asks the server; while it is not known, the places one after the other. Rejects with LfsError. */
  ask<T>(probe: Probe<T>, signal: AbortSignal): Promise<T>;
  /** Where the server is; `probe` asks each place when it is not known. */
  find(probe: Probe<unknown>, signal: AbortSignal): Promise<URL>;
}

/** Where to look. */
export interface FinderOptions {
  readonly places: (signal: AbortSignal) => Promise<readonly Place[]>;
  /** Told once where the server is not where the configuration says. */
  readonly warn: (message: string) => void;
}

const NO_LFS = Symbol('no-lfs');

/** Looks nowhere yet. */
export function createServerFinder({ places, warn }: FinderOptions): ServerFinder {
  let known: URL | undefined;
  let failed: { readonly error: LfsError; readonly untilMs: number } | undefined;
  let looking: Promise<void> | undefined;

  async function look<T>(probe: Probe<T>, signal: AbortSignal): Promise<T> {
    const asked = await places(signal);
    const first = asked[0];
    for (const place of asked) {
      const found = await probe(place.url, signal);
      if (found === 'no-lfs') continue;
      known = place.url;
      if (first !== undefined && place !== first && first.source !== 'usual') {
        warn(
          `there is no LFS server at ${shownUrl(first.url)} (${first.source}); using the one at ${shownUrl(place.url)}`,
        );
      }
      return found;
    }
    const list = asked.map((place) => shownUrl(place.url)).join(', ');
    const error = new LfsError('server', `no LFS server found (asked ${list}); set lfs_url to where it is`);
    failed = { error, untilMs: performance.now() + NOT_FOUND_MS };
    throw error;
  }

  async function atKnown<T>(url: URL, probe: Probe<T>, signal: AbortSignal): Promise<T | typeof NO_LFS> {
    const answer = await probe(url, signal);
    return answer === 'no-lfs' ? NO_LFS : answer;
  }

  /** Waits until nobody looks for the server, but no longer than this caller wants to. */
  async function othersLook(search: Promise<void>, signal: AbortSignal): Promise<void> {
    const link = linkAbort(signal);
    try {
      await orAborted(search, link.signal, () => abortedError(signal, 'looking for the LFS server'));
    } catch (error) {
      // Who looked gave up: that is no answer for the others.
      const isOthers = error instanceof LfsError && error.kind === 'aborted' && !signal.aborted;
      if (!isOthers) throw error;
    } finally {
      link.unlink();
    }
  }

  async function ask<T>(probe: Probe<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      if (known !== undefined) {
        const answer = await atKnown(known, probe, signal);
        if (answer !== NO_LFS) return answer;
        // It has moved: look again, everywhere.
        known = undefined;
      }
      if (failed !== undefined && performance.now() < failed.untilMs) throw failed.error;
      if (looking === undefined) {
        const result = look(probe, signal);
        looking = result.then(() => undefined);
        looking.catch(() => undefined);
        try {
          return await result;
        } finally {
          looking = undefined;
        }
      }
      await othersLook(looking, signal);
    }
  }

  return {
    get known() {
      return known;
    },
    ask,
    async find(probe, signal) {
      if (known === undefined) await ask(probe, signal);
      if (known === undefined) throw new LfsError('server', 'the LFS server is gone');
      return known;
    },
  };
}
