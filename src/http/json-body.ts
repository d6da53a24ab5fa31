// Reads JSON bodies by hand: which of the things that can be wrong decides the status, as ScorpioFS answers.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RequestError } from './replies.ts';

const MAX_ID = 2 ** 32 - 2;

/** Takes bodies of all content types as bytes: the routes that want JSON read them with `readJsonObject`. */
export function acceptRawBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

/**
 * The body as a JSON object. Throws RequestError: 415 without a JSON content type, 400 for malformed JSON, 422 for
 * something else than an object.
 */
export function readJsonObject(request: FastifyRequest): JsonFields {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (!/^application\/(?:json|[^/]+\+json)$/.test(type)) {
    throw new RequestError(415, 'not JSON');
  }
  const raw = Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '';
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch (error) {
    throw new RequestError(400, `Failed to parse the request body as JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RequestError(422, `${PREFIX}: expected an object`);
  }
  return new JsonFields(value as Record<string, unknown>);
}

const PREFIX = 'Failed to deserialize the JSON body into the target type';

/** Typed access to the fields of an object; null counts as absent. Each method throws RequestError 422. */
export class JsonFields {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>>) {
    this.#fields = fields;
  }

  /** A string that must be there. */
  text(name: string): string {
    if (!Object.hasOwn(this.#fields, name))
      throw new RequestError(422, `${PREFIX}: missing field \`${name}\``);
    const value = this.#fields[name];
    if (typeof value !== 'string') throw this.#wrongType(name, 'a string');
    return value;
  }

  /** A string, or undefined. */
  optionalText(name: string): string | undefined {
    return this.#isAbsent(name) ? undefined : this.text(name);
  }

  /** A user or group id, or undefined. */
  optionalId(name: string): number | undefined {
    if (this.#isAbsent(name)) return undefined;
    const value = this.#fields[name];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_ID) {
      throw this.#wrongType(name, `an integer from 0 to ${MAX_ID}`);
    }
    return value;
  }

  /** `true` or `false`, or undefined. */
  optionalFlag(name: string): boolean | undefined {
    if (this.#isAbsent(name)) return undefined;
    const value = this.#fields[name];
    if (typeof value !== 'boolean') throw this.#wrongType(name, 'a boolean');
    return value;
  }

  /** A list of strings, at most so many, or undefined. */
  optionalTexts(name: string, most: number): string[] | undefined {
    if (this.#isAbsent(name)) return undefined;
    const value = this.#fields[name];
    if (!Array.isArray(value) || value.length > most || value.some((each) => typeof each !== 'string')) {
      throw this.#wrongType(name, `a list of at most ${most} strings`);
    }
    return value as string[];
  }

  #isAbsent(name: string): boolean {
    return !Object.hasOwn(this.#fields, name) || this.#fields[name] === null;
  }

  #wrongType(name: string, expected: string): RequestError {
    const given = JSON.stringify(this.#fields[name]).slice(0, 80);
    return new RequestError(422, `${PREFIX}: ${name}: invalid value: ${given}, expected ${expected}`);
  }
}
