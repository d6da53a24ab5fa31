// Reads values of a URL's query.
import type { FastifyRequest } from 'fastify';
import { RequestError } from './replies.ts';

const PREFIX = 'Failed to deserialize query string';

function valuesOf(request: FastifyRequest, name: string): readonly string[] {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return value === undefined ? [] : [value].flat();
}

/** `name=true` or `name=false`; absent: false. Throws RequestError 400 for anything else. */
export function queryFlag(request: FastifyRequest, name: string): boolean {
  const values = valuesOf(request, name);
  if (values.length === 0 || (values.length === 1 && values[0] === 'false')) return false;
  if (values.length === 1 && values[0] === 'true') return true;
  throw new RequestError(400, `${PREFIX}: ${name}: expected \`true\` or \`false\``);
}

/** A text; absent or empty: undefined. Throws RequestError 400 where it is given twice. */
export function queryText(request: FastifyRequest, name: string): string | undefined {
  const values = valuesOf(request, name);
  if (values.length > 1) throw new RequestError(400, `${PREFIX}: ${name}: expected one value`);
  return values[0] === '' ? undefined : values[0];
}

/** All values of a name that may be repeated. */
export function queryTexts(request: FastifyRequest, name: string): readonly string[] {
  return valuesOf(request, name);
}

/** A number from 1 on; absent: undefined. Throws RequestError 400. */
export function queryCount(request: FastifyRequest, name: string): number | undefined {
  const text = queryText(request, name);
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/u.test(text)) return Number(text);
  throw new RequestError(400, `${PREFIX}: ${name}: expected a number from 1 on`);
}
