// Files as a policy is asked about them.
import { constants } from 'node:fs';
import type { LayerEntry } from '../layers/layer.ts';
import type { PolicyFile } from './file-policy.ts';
import type { Inode } from './inode.ts';
import { pathIn } from './inode-path.ts';

const { S_IFMT, S_IFREG } = constants;

/** A file under a name; its path is made when somebody wants it. */
class NamedFile implements PolicyFile {
  readonly #parent: Inode;
  readonly #name: string;
  readonly #lower: LayerEntry | undefined;
  readonly isUpper: boolean;

  constructor(parent: Inode, name: string, lower: LayerEntry | undefined, isUpper: boolean) {
    this.#parent = parent;
    this.#name = name;
    this.#lower = lower;
    this.isUpper = isUpper;
  }

  get path(): string {
    return pathIn(this.#parent, this.#name);
  }

  get lower(): LayerEntry | undefined {
    if (this.#lower !== undefined) return this.#lower;
    const hidden = this.#parent.directory?.listing?.get(this.#name);
    return hidden !== undefined && (hidden.mode & S_IFMT) === S_IFREG ? hidden : undefined;
  }
}

/** An object; undefined for what is no regular file, or has no name. */
export function policyFileOf({
  type,
  parent,
  name,
  lower,
  upper,
  isMetacopy,
}: Inode): PolicyFile | undefined {
  if (type !== S_IFREG || parent === undefined) return undefined;
  return new NamedFile(parent, name, lower, upper && !isMetacopy);
}

/** An entry of the lower layer that nothing of is changed, in the folder that shows it; undefined as above. */
export function policyFileAt(parent: Inode, entry: LayerEntry): PolicyFile | undefined {
  if ((entry.mode & S_IFMT) !== S_IFREG) return undefined;
  return new NamedFile(parent, entry.name, entry, false);
}
