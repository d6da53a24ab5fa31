// Who may use the LFS routes: everybody, or whoever has a password or token; and links that hold for a while only.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { LfsRequestError } from './lfs-answer.ts';

/** Access to the LFS routes. */
export interface LfsAccessOptions {
  /** Who may come in: basic authentication with one of these, or a bearer token. Default: everybody. */
  readonly users?: Readonly<Record<string, string>> | undefined;
  readonly token?: string | undefined;
  /** How long a link of a batch answer may be used. Default: for ever, though it says a day, as Mega does. */
  readonly linkSeconds?: number | undefined;
}

const DAY_SECONDS = 24 * 60 * 60;

/** Checks requests, and makes the header that a link needs. */
export class LfsAccess {
  readonly #options: LfsAccessOptions;
  readonly #key = randomBytes(32);

  constructor(options: LfsAccessOptions) {
    this.#options = options;
  }

  /** When links that are made now expire; milliseconds since 1970. */
  linkEnd(): number {
    return Date.now() + (this.#options.linkSeconds ?? DAY_SECONDS) * 1000;
  }

  /** Headers of a link to an object, with what shows later that this server gave it out. */
  linkHeaders(oid: string, endMs: number): Record<string, string> {
    if (!this.#isGuarded) return {};
    return { Authorization: `Bearer link.${endMs}.${this.#sign(`${oid}.${endMs}`)}` };
  }

  /**
   * The user's name, undefined for somebody without one.
   *
   * @throws LfsRequestError 401 for whoever may not come in
   */
  userOf(request: FastifyRequest): string | undefined {
    const { authorization } = request.headers;
    const basic = basicOf(authorization);
    const { users, token } = this.#options;
    if (users === undefined && token === undefined) return basic?.name;
    if (basic !== undefined && users !== undefined && Object.hasOwn(users, basic.name)) {
      if (isSame(users[basic.name] ?? '', basic.password)) return basic.name;
    }
    if (token !== undefined && isSame(`Bearer ${token}`, authorization ?? '')) return undefined;
    throw new LfsRequestError(401, 'a user name and password, or a token, is needed');
  }

  /**
   * Lets a request for an object pass: one with a link's header that has not expired, or a user's.
   *
   * @throws LfsRequestError 401 for any other, 403 for an expired link
   */
  checkObject(request: FastifyRequest, oid: string): void {
    const match = /^Bearer link\.(\d+)\.([0-9a-f]{64})$/u.exec(request.headers.authorization ?? '');
    if (match === null) {
      if (this.#options.linkSeconds !== undefined) throw new LfsRequestError(403, 'this needs a link');
      this.userOf(request);
      return;
    }
    const [, end = '', signature = ''] = match;
    if (!isSame(this.#sign(`${oid}.${end}`), signature))
      throw new LfsRequestError(401, 'not a link of this server');
    if (Number(end) < Date.now()) throw new LfsRequestError(403, 'the link has expired');
  }

  get #isGuarded(): boolean {
    const { users, token, linkSeconds } = this.#options;
    return users !== undefined || token !== undefined || linkSeconds !== undefined;
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('hex');
  }
}

function basicOf(header: string | undefined): { name: string; password: string } | undefined {
  const match = /^Basic ([\w+/=-]+)$/iu.exec(header ?? '');
  if (match === null) return undefined;
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon <= 0) return undefined;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
