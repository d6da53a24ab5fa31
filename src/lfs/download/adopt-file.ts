// Takes a file of the local disk into the store of large files: shares its blocks where that is possible.
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  lstatSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { copyContent } from '../../util/copy-content.ts';
import { toDiskError } from '../../util/disk-error.ts';
import { codeOf } from '../../util/disk-full.ts';
import { largeFilePath } from '../../util/large-file-paths.ts';
import { temporaryName } from '../../util/temporary-files.ts';
import type { WantedObject } from '../lfs-object.ts';
import { hashFile } from './hash-file.ts';
import type { StoredObjects } from './stored-objects.ts';

/** How a file is taken over. */
export interface AdoptOptions {
  /** Whether it may become a second name of the same file. */
  readonly mayLink: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Shares the blocks of a file with a new one; false where the disk cannot. Throws Node's errors. */
function cloneFile(from: string, to: string): boolean {
  try {
    copyFileSync(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'ENOSYS', 'EINVAL', 'ENOTTY'].includes(codeOf(error)))
      return false;
    throw error;
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (['EXDEV', 'EPERM', 'EMLINK'].includes(codeOf(error))) return false;
    throw error;
  }
}

/**
 * Publishes the content of the file at `path` as an object of the store in `directory`. False when it is not that
 * content, or no file. What is published was hashed under the name that it is published with, so nobody can exchange it
 * in between. Rejects with ErrnoError; with the signal's reason when it aborts.
 */
export async function adoptFile(
  directory: string,
  objects: StoredObjects,
  object: WantedObject,
  path: string,
  { mayLink, signal }: AdoptOptions,
): Promise<boolean> {
  const folder = join(directory, 'tmp');
  const temporary = join(folder, temporaryName());
  let fd: number | undefined;
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() !== true || stats.size !== object.size) return false;
    const stored = lstatSync(largeFilePath(directory, object.oid), { throwIfNoEntry: false });
    // Hashed before it became one file.
    if (stored !== undefined && stored.dev === stats.dev && stored.ino === stats.ino) return true;
    mkdirSync(folder, { recursive: true });
    // A second name first: unlike shared blocks it can be seen later on that nothing is left to share.
    const isShared = (mayLink && tryLink(path, temporary)) || cloneFile(path, temporary);
    if (!isShared) await copyTo(path, temporary, object.size);
    fd = openSync(temporary, constants.O_RDONLY | constants.O_NOFOLLOW);
    const before = fstatSync(fd);
    if ((await hashFile(fd, object.size, signal)) !== object.oid) return false;
    const after = fstatSync(fd);
    if (after.size !== object.size || after.mtimeMs !== before.mtimeMs) return false;
    objects.publish(object.oid, fd, temporary);
    return true;
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw toDiskError(error, path);
  } finally {
    if (fd !== undefined) closeSync(fd);
    await rm(temporary, { force: true });
  }
}

async function copyTo(from: string, to: string, size: number): Promise<void> {
  const source = openSync(from, constants.O_RDONLY);
  try {
    const target = openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await copyContent(source, target, size);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}
