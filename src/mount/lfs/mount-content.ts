// The content of changed large files: opened, hashed, and known by its hash.
import type { Layer } from '../../layers/layer.ts';
import type { LfsObject } from '../../lfs/lfs-object.ts';
import { LfsError } from '../../lfs/lfs-error.ts';
import { UpperChanges } from '../../overlay/upper-changes.ts';
import { closeFd, openPath } from '../../util/syscall.ts';
import { namesOf } from '../prefetch/lower-folder.ts';
import { constants } from 'node:fs';
import {
  type ContentHashes,
  type HashedContent,
  type HashRequest,
  identityOf,
  statOf,
} from './content-hashes.ts';
import type { LargeChange } from './large-changes.ts';

/** SHA-256 of nothing: an empty file stands for itself, and there is no object of it. */
export const EMPTY_OID = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Opens and hashes what a mount's changes are. */
export interface MountContent {
  /** What the change is now, as far as it is known at once; undefined: it has to be hashed. */
  known(change: LargeChange): LfsObject | undefined;
  /** What it is now, hashed where need be. `identity` is undefined where nothing in the mount can change it. */
  object(
    change: LargeChange,
    request: HashRequest,
  ): Promise<LfsObject & { readonly identity: string | undefined }>;
  /**
   * A descriptor of what was hashed as `identity`. Throws LfsError (`invalid`) when the file is not in that state any
   * more; the caller closes it.
   */
  openAs(path: string, identity: string): number;
  /** What was hashed as `identity` turned out to have another hash. */
  distrust(identity: string): void;
  /** A descriptor of a file of the upper layer. Throws LfsError (`invalid`) when there is none any more. */
  open(path: string): number;
}

/** Makes it; `layer` shows the lower files as the mount does. */
export function createMountContent(upperDir: string, layer: Layer, hashes: ContentHashes): MountContent {
  const upper = new UpperChanges(upperDir);

  const open = (path: string): number => {
    const fd = upper.open(namesOf(path));
    if (fd !== undefined) return fd;
    throw new LfsError('invalid', `${shown(path)} was removed or moved meanwhile`);
  };

  const known = ({ content }: LargeChange): LfsObject | undefined => {
    if (content === undefined || content.kind === 'ordinary') return undefined;
    if (content.kind !== 'upper') return content.pointer;
    const { size } = content.stat;
    const oid = size === 0 ? EMPTY_OID : hashes.known(content.stat);
    return oid === undefined ? undefined : { oid, size };
  };

  const hashLower = async (
    change: LargeChange & { content: { kind: 'ordinary' } },
    request: HashRequest,
  ): Promise<HashedContent> => {
    const { signal, priority = 'demand' } = request;
    const fd = await layer.open(change.content.entry, {
      ...(signal === undefined ? {} : { signal }),
      priority,
    });
    try {
      return await hashes.hash(() => openPath(`/proc/self/fd/${fd}`, constants.O_RDONLY), request);
    } finally {
      closeFd(fd);
    }
  };

  return {
    known,
    open,
    distrust: (identity) => hashes.forget(identity),
    async object(change, request) {
      const { content, path } = change;
      if (content?.kind === 'ordinary') {
        const { oid, size } = await hashLower({ ...change, content }, request);
        return { oid, size, identity: undefined };
      }
      if (content?.kind === 'upper') {
        const { oid, size, identity } = await hashes.hash(() => open(path), request);
        return { oid: size === 0 ? EMPTY_OID : oid, size, identity };
      }
      const object = known(change);
      if (object === undefined) throw new LfsError('invalid', `${shown(path)} was removed`);
      const identity = content?.kind === 'pointer' ? identityOf(content.stat) : undefined;
      return { ...object, identity };
    },
    openAs(path, identity) {
      const fd = open(path);
      if (identityOf(statOf(fd)) === identity) return fd;
      closeFd(fd);
      throw new LfsError('invalid', `${shown(path)} was changed meanwhile`);
    },
  };
}

/** A path for messages and results. */
export function shown(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}
