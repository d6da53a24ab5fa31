// The locking API, as the specification has it and as Mega speaks it.
import { LfsError } from '../lfs-error.ts';
import { urlBelow } from './endpoint.ts';
import type { Probe, ServerFinder } from './find-server.ts';
import { replyFailure } from './lfs-api.ts';
import type { ApiAsked, ApiReply, LfsApi } from './lfs-api.ts';
import type { LfsLock, LfsLocksClient, LfsRequest, VerifiedLocks } from './lfs-client.ts';
import { lockOf, lockPageOf, lockQuestion } from './lock-answer.ts';
import type { LockPage } from './lock-answer.ts';

const PAGE_SIZE = 100;

/** No team has more locks; a server that goes on is counting in circles. */
const MAX_LOCKS = 500_000;
const MAX_PAGES = MAX_LOCKS / PAGE_SIZE;

/** What servers without locks answer. */
const NO_LOCKS: readonly number[] = [404, 405, 501];

/** What the locks need. */
export interface LocksOptions {
  readonly api: LfsApi;
  readonly finder: ServerFinder;
  readonly probe: Probe<unknown>;
  readonly ref: string;
  readonly closing: AbortSignal;
}

/** Whether an error says that the server has no locks at all. */
export function isWithoutLocks(error: unknown): boolean {
  return error instanceof LfsError && error.kind === 'server' && error.status === 501;
}

function withoutLocks(url: URL): LfsError {
  const text = `the LFS server has no locks (${lockQuestion('POST', url)})`;
  return new LfsError('server', text, { status: 501 });
}

function alreadyLocked(path: string, lock: LfsLock | undefined): LfsError {
  const owner = lock?.owner === undefined ? '' : ` by ${lock.owner}`;
  const since = lock === undefined || lock.lockedAt === '' ? '' : ` since ${lock.lockedAt}`;
  const id = lock === undefined ? '' : ` (lock ${lock.id})`;
  return new LfsError('conflict', `${path} is locked already${owner}${since}${id}`, { status: 409 });
}

/** Asks nothing yet. */
export function createLocksRoute(options: LocksOptions): LfsLocksClient {
  return new LocksRoute(options);
}

/** Somebody has the lock that was asked for. */
interface Conflict {
  readonly with: LfsLock | undefined;
  /** An attempt whose answer was lost may have taken it. */
  readonly mayBeOurs: boolean;
}

class LocksRoute implements LfsLocksClient {
  readonly #options: LocksOptions;

  constructor(options: LocksOptions) {
    this.#options = options;
  }

  async lock(path: string, request?: LfsRequest): Promise<LfsLock> {
    const url = await this.#url('/locks', request);
    const parse = (reply: ApiReply, failures: number): LfsLock | Conflict => {
      if (NO_LOCKS.includes(reply.status)) throw withoutLocks(url);
      const named = lockOf(reply);
      const isConflict = reply.status === 409 || /lock already exist/iu.test(reply.text);
      if (isConflict) return { with: named, mayBeOurs: failures > 0 };
      if (reply.status >= 300 || named === undefined) throw replyFailure(reply, { method: 'POST', url });
      return named;
    };
    const asked = { method: 'POST' as const, url, json: { path, ref: { name: this.#options.ref } } };
    const made = await this.#options.api.ask(asked, [...NO_LOCKS, 409, 500], parse, this.#signal(request));
    if ('id' in made) return made;
    if (made.mayBeOurs) {
      // Where no owner is named, nobody can tell.
      const { ours } = await this.verify(request);
      const own = ours.find((each) => each.path === path && each.owner !== undefined);
      if (own !== undefined) return own;
    }
    throw alreadyLocked(path, made.with ?? (await this.#lookUp(path, request)));
  }

  async unlock(id: string, { force }: { readonly force: boolean }, request?: LfsRequest): Promise<LfsLock> {
    const url = await this.#url(`/locks/${encodeURIComponent(id)}/unlock`, request);
    const unknown = new LfsError('missing', `there is no lock ${id}: it was released already`, {
      status: 404,
    });
    const parse = (reply: ApiReply): LfsLock | 'failed' => {
      if (reply.status === 404) throw unknown;
      // Mega's words for an unknown id, and for a lock that has an owner.
      if (reply.status === 500 && /delete operation failed/iu.test(reply.text)) return 'failed';
      if (reply.status >= 300) throw replyFailure(reply, { method: 'POST', url });
      return lockOf(reply) ?? { id, path: '', lockedAt: '', owner: undefined };
    };
    const asked = { method: 'POST' as const, url, json: { force, ref: { name: this.#options.ref } } };
    const released = await this.#options.api.ask(asked, [404, 500], parse, this.#signal(request));
    if (released !== 'failed') return released;
    const [held] = await this.list({ id }, request);
    if (held === undefined) throw unknown;
    throw new LfsError('refused', `the lock ${id} of ${held.path} is not yours; --force takes it away`);
  }

  async list(
    filter: { readonly path?: string; readonly id?: string; readonly limit?: number } = {},
    request?: LfsRequest,
  ): Promise<readonly LfsLock[]> {
    const url = await this.#url('/locks', request);
    // Mega heeds neither the id nor, in old versions, the path.
    const isWanted = (lock: LfsLock): boolean =>
      (filter.path === undefined || lock.path === filter.path) &&
      (filter.id === undefined || lock.id === filter.id);
    const { ours: found } = await pages(
      (cursor, limit) => {
        const asked = new URL(url);
        const { ref } = this.#options;
        const query = { path: filter.path, id: filter.id, cursor, limit: String(limit), refspec: ref };
        for (const [name, value] of Object.entries(query)) {
          if (value !== undefined) asked.searchParams.set(name, value);
        }
        return this.#page({ method: 'GET', url: asked }, request);
      },
      (locks) => filter.limit !== undefined && locks.filter(isWanted).length >= filter.limit,
    );
    return found.filter(isWanted).slice(0, filter.limit);
  }

  async verify(request?: LfsRequest): Promise<VerifiedLocks> {
    const url = await this.#url('/locks/verify', request);
    return pages(
      (cursor, limit) => {
        const json = { ref: { name: this.#options.ref }, limit, ...(cursor === undefined ? {} : { cursor }) };
        return this.#page({ method: 'POST', url, json }, request);
      },
      () => false,
    );
  }

  #signal(request: LfsRequest | undefined): AbortSignal {
    return request?.signal ?? this.#options.closing;
  }

  async #url(path: string, request: LfsRequest | undefined): Promise<URL> {
    const { finder, probe } = this.#options;
    return urlBelow(await finder.find(probe, this.#signal(request)), path);
  }

  #page(asked: ApiAsked, request: LfsRequest | undefined): Promise<LockPage> {
    const parse = (reply: ApiReply): LockPage => {
      if (NO_LOCKS.includes(reply.status)) throw withoutLocks(asked.url);
      return lockPageOf(reply, lockQuestion(asked.method, asked.url));
    };
    return this.#options.api.ask(asked, NO_LOCKS, parse, this.#signal(request));
  }

  /** What the server says of a path, for a message; undefined where it says nothing. */
  async #lookUp(path: string, request: LfsRequest | undefined): Promise<LfsLock | undefined> {
    try {
      const [lock] = await this.list({ path, limit: 1 }, request);
      return lock;
    } catch {
      return undefined;
    }
  }
}

/** All pages, by what asks for one, until there is enough. */
async function pages(
  ask: (cursor: string | undefined, limit: number) => Promise<LockPage>,
  isEnough: (locks: readonly LfsLock[]) => boolean,
): Promise<VerifiedLocks> {
  const ours = new Map<string, LfsLock>();
  const theirs = new Map<string, LfsLock>();
  const cursors = new Set<string>();
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    let got = await ask(cursor, PAGE_SIZE);
    // Mega gives no cursor when exactly one lock is left: a full page is asked for again, with room for that one.
    if (got.nextCursor === undefined && got.ours.length + got.theirs.length === PAGE_SIZE) {
      got = await ask(cursor, PAGE_SIZE + 1);
    }
    for (const lock of got.ours) ours.set(lock.id, lock);
    for (const lock of got.theirs) theirs.set(lock.id, lock);
    cursor = got.nextCursor;
    const isTooMany = ours.size + theirs.size > MAX_LOCKS;
    if (cursor === undefined || cursors.has(cursor) || isTooMany || isEnough([...ours.values()])) break;
    cursors.add(cursor);
  }
  return { ours: [...ours.values()], theirs: [...theirs.values()] };
}
