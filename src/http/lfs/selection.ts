// Which files of a mount a request is about.
import type { FastifyRequest } from 'fastify';
import type { LfsSelection } from '../../mount/lfs/mount-lfs.ts';
import { RegistryError } from '../../mount/registry-error.ts';
import { readJsonObject, type JsonFields } from '../json-body.ts';
import { checkPathInMount } from '../path-in-mount.ts';
import { queryTexts } from '../query.ts';

const MAX_PATHS = 100_000;

/** Largest body of a request with paths, in bytes: a shell passes two megabytes of them, which grow as JSON. */
export const MAX_SELECTION_BYTES: number = 16 * 1024 * 1024;

function hasBody(request: FastifyRequest): boolean {
  return Buffer.isBuffer(request.body) && request.body.length > 0;
}

function checkedPaths(paths: readonly string[]): LfsSelection {
  if (paths.length > MAX_PATHS) {
    throw new RegistryError('INVALID_REQUEST', `more than ${MAX_PATHS} paths; name their folder`);
  }
  return { paths: [...new Set(paths.map(checkPathInMount))] };
}

/** The fields of the body, or undefined where a request came without one. Throws RequestError. */
export function optionalBody(request: FastifyRequest): JsonFields | undefined {
  return hasBody(request) ? readJsonObject(request) : undefined;
}

/** `paths` of the body, where there is one, else each `path` of the query. None: all of the mount. */
export function selectionOf(request: FastifyRequest): LfsSelection {
  const fields = optionalBody(request);
  return checkedPaths(
    fields === undefined ? queryTexts(request, 'path') : (fields.optionalTexts('paths', MAX_PATHS) ?? []),
  );
}

/** As `selectionOf`, for what must not be done to all of a mount. */
export function namedPaths(request: FastifyRequest): readonly string[] {
  const { paths } = selectionOf(request);
  if (paths.length === 0) throw new RegistryError('INVALID_REQUEST', 'paths must name at least one file');
  return paths;
}
