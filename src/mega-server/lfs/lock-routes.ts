// Routes of locks: create, list, verify, unlock.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { queryOf } from '../query.ts';
import type { LfsAccess } from './access.ts';
import { LfsRequestError, sendLfs } from './lfs-answer.ts';
import { LFS_PREFIXES } from './lfs-url.ts';
import { isOwnLock, type LfsLocks, type LockFilter, shownLock, type StoredLock } from './locks.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const PATH_CHARACTERS_MAX = 4096;

interface Page {
  readonly locks: readonly StoredLock[];
  /** Empty for the last page, as with Mega: some clients want text. */
  readonly nextCursor: string;
}

/** Registers the routes. */
export function registerLockRoutes(app: FastifyInstance, locks: LfsLocks, access: LfsAccess): void {
  for (const prefix of LFS_PREFIXES) {
    app.post(`${prefix}/locks`, async (request, reply) => {
      const owner = access.userOf(request) ?? null;
      const { path, ref } = membersOf(request);
      const lock = await locks.create({ path: checkPath(path), owner, ref: refName(ref) ?? '' });
      return sendLfs(reply, 201, { lock: shownLock(lock), message: '' });
    });

    app.get(`${prefix}/locks`, async (request, reply) => {
      access.userOf(request);
      const { path, id, refspec, cursor, limit } = textQueryOf(request);
      const filter = { path: path === '' ? undefined : path, id, ref: refspec };
      const page = await pageOf(locks, filter, cursor, limit);
      return sendLfs(reply, 200, { locks: page.locks.map(shownLock), next_cursor: page.nextCursor });
    });

    app.post(`${prefix}/locks/verify`, async (request, reply) => {
      const caller = access.userOf(request);
      const { ref, cursor, limit } = membersOf(request);
      const page = await pageOf(locks, { ref: refName(ref) }, cursor, limit);
      const part = (own: boolean) =>
        page.locks.filter((lock) => isOwnLock(lock, caller) === own).map(shownLock);
      return sendLfs(reply, 200, { ours: part(true), theirs: part(false), next_cursor: page.nextCursor });
    });

    app.post<{ Params: { id: string } }>(`${prefix}/locks/:id/unlock`, async (request, reply) => {
      const caller = access.userOf(request);
      const force = membersOf(request)['force'] === true;
      const lock = await locks.remove(request.params.id, caller, force);
      return sendLfs(reply, 200, { lock: shownLock(lock), message: '' });
    });
  }
}

async function pageOf(locks: LfsLocks, filter: LockFilter, cursor: unknown, limit: unknown): Promise<Page> {
  const found = await locks.list(filter, numberOf(cursor, 'cursor') ?? 0);
  const asked = numberOf(limit, 'limit') ?? LIMIT_DEFAULT;
  const count = Math.min(asked === 0 ? LIMIT_DEFAULT : asked, LIMIT_MAX);
  const page = found.slice(0, count);
  return { locks: page, nextCursor: found.length > count ? String(page.at(-1)?.number) : '' };
}

function membersOf(request: FastifyRequest): Record<string, unknown> {
  const { body } = request;
  if (typeof body !== 'object' || body === null) throw new LfsRequestError(422, 'the body must be an object');
  return body as Record<string, unknown>;
}

function textQueryOf(request: FastifyRequest): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(queryOf(request.raw.url)).map(([name, value]) => [
      name,
      value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8'),
    ]),
  );
}

function numberOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
  if (!/^\d{1,15}$/u.test(text)) throw new LfsRequestError(400, `${name} must be a number`);
  return Number(text);
}

function refName(ref: unknown): string | undefined {
  if (ref === undefined || ref === null) return undefined;
  const { name } = ref as { name?: unknown };
  if (typeof name !== 'string') throw new LfsRequestError(422, 'ref must be {"name": "refs/heads/..."}');
  return name === '' ? undefined : name;
}

function checkPath(path: unknown): string {
  const isPath =
    typeof path === 'string' &&
    path !== '' &&
    path.length <= PATH_CHARACTERS_MAX &&
    !path.includes('\0') &&
    path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
  if (!isPath)
    throw new LfsRequestError(
      422,
      'path must be one from the root of the repository, without / at its start',
    );
  return path;
}
