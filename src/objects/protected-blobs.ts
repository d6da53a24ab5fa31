// Blobs that must not be removed, whatever the limit: what exists nowhere else yet.
import { linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ObjectId } from '../util/types.ts';
import { codeOf } from '../util/disk-full.ts';
import { toDiskError } from '../util/disk-error.ts';

/**
 * Protects blobs by a second name of their files, `<store>/protected/<id>`: unlike a note in a database it cannot be
 * lost without the content, and everybody can see it, and rescue the content, with `ls` and `cp`.
 */
export class ProtectedBlobs {
  readonly #folder: string;

  /** `directory` is the store's. */
  constructor(directory: string) {
    this.#folder = join(directory, 'protected');
  }

  /** Protects the blob whose file is at `path`. False when there is none. Throws ErrnoError. */
  protect(id: ObjectId, path: string): boolean {
    const name = join(this.#folder, id);
    // An earlier protection may be of a file that was replaced since.
    const fresh = `${name}.new`;
    try {
      mkdirSync(this.#folder, { recursive: true });
      rmSync(fresh, { force: true });
      linkSync(path, fresh);
      renameSync(fresh, name);
      // Two names of one file: renaming leaves both.
      rmSync(fresh, { force: true });
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw toDiskError(error, name);
    }
    return true;
  }

  /** Lets a blob be removed again. Throws ErrnoError. */
  release(id: ObjectId): void {
    const name = join(this.#folder, id);
    try {
      rmSync(name, { force: true });
    } catch (error) {
      throw toDiskError(error, name);
    }
  }
}
