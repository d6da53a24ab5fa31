// Paths inside a mount, as requests name them.
import { RegistryError } from '../mount/registry-error.ts';

const MAX_PATH_BYTES = 4096;

/** The path as it is; throws RegistryError INVALID_REQUEST where it could name nothing in a mount. */
export function checkPathInMount(path: string): string {
  if (path.includes('\0') || path.split('/').some((name) => name === '.' || name === '..')) {
    throw new RegistryError('INVALID_REQUEST', 'path must not contain ".", ".." or a NUL byte');
  }
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new RegistryError('INVALID_REQUEST', `path is longer than ${MAX_PATH_BYTES} bytes`);
  }
  return path;
}
