// Answers of the locking API, with what servers get wrong put right.
import { shownUrl, wrongAnswer } from './failures.ts';
import { isRecord, jsonOf } from './lfs-api.ts';
import type { ApiReply } from './lfs-api.ts';
import type { LfsLock } from './lfs-client.ts';

/** A page of a list. */
export interface LockPage {
  readonly ours: readonly LfsLock[];
  readonly theirs: readonly LfsLock[];
  /** Undefined: it was the last page, as far as the server says. */
  readonly nextCursor: string | undefined;
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

function parseLock(value: unknown): LfsLock | undefined {
  if (!isRecord(value)) return undefined;
  const { id, path, locked_at: lockedAt, owner } = value;
  const name = typeof id === 'number' ? String(id) : textOf(id);
  if (name === undefined || typeof path !== 'string') return undefined;
  return {
    id: name,
    path: path.replace(/^\/+/u, ''),
    lockedAt: textOf(lockedAt) ?? '',
    owner: isRecord(owner) ? textOf(owner['name']) : undefined,
  };
}

/** The lock that an answer is about; undefined where it names none. */
export function lockOf(reply: ApiReply): LfsLock | undefined {
  const json = jsonOf(reply);
  return isRecord(json) ? parseLock(json['lock']) : undefined;
}

function locksOf(value: unknown): LfsLock[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => parseLock(each) ?? []);
}

/** Reads a page of `GET locks` or of `POST locks/verify`. Throws LfsError where it is none. */
export function lockPageOf(reply: ApiReply, what: string): LockPage {
  const json = jsonOf(reply);
  const isPage = isRecord(json) && ['locks', 'ours', 'theirs'].some((key) => key in json);
  if (!isPage) throw wrongAnswer('it lists no locks', what);
  return {
    ours: [...locksOf(json['ours']), ...locksOf(json['locks'])],
    theirs: locksOf(json['theirs']),
    nextCursor: textOf(json['next_cursor']),
  };
}

/** What was asked, for messages. */
export function lockQuestion(method: string, url: URL): string {
  return `${method} ${shownUrl(url)}`;
}
