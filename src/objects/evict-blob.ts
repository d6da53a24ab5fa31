// Removes one file of the store, unless somebody needs it.
import { closeSync, constants, fstatSync, openSync, unlinkSync } from 'node:fs';
import { takeLease } from '../util/file-lease.ts';
import { codeOf } from '../util/disk-full.ts';

/**
 * - `removed`: its space is free.
 * - `kept`: it is open somewhere, or protected.
 * - `gone`: there was no such file.
 */
export type Eviction = 'removed' | 'kept' | 'gone';

/**
 * Removes the file at `path` when that frees space and takes nothing from anybody. Kept is what a process has open (its
 * space would stay in use, and the next open would fetch it again), and what has a second name: that is how files
 * are protected, and its space would not come back either. On filesystems without leases, where nobody can tell, an
 * open file goes as well: its readers do not notice, and its space is free when they close it. Never throws.
 */
export function evictBlob(path: string): Eviction {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'gone' : 'kept';
  }
  try {
    if (fstatSync(fd).nlink > 1 || takeLease(fd) === 'open') return 'kept';
    unlinkSync(path);
    return 'removed';
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'gone' : 'kept';
  } finally {
    closeSync(fd);
  }
}
