// What the large files of one mount are made of: for whoever puts a mount together.
import type { Layer } from '../../layers/layer.ts';
import type { LfsLayer } from '../../layers/lfs-layer.ts';
import type { AttributeRules } from '../../lfs/attributes/attribute-rules.ts';
import type { AttributeSource } from '../../lfs/attributes/attribute-source.ts';
import type { LfsClient } from '../../lfs/client/lfs-client.ts';
import type { LfsDownloads } from '../../lfs/download/lfs-downloads.ts';
import type { PointerStore } from '../../lfs/pointer-store.ts';
import type { Logger } from '../../util/logger.ts';
import type { LazyObjects } from '../../objects/lazy-objects.ts';
import type { Snapshot } from '../../upstream/upstream.ts';
import type { Awaitable } from '../../util/types.ts';
import type { ActiveFolders } from './active-folders.ts';
import type { MountLfs } from './mount-lfs.ts';

/** The LFS server of a repository. */
export interface LfsClientProvider {
  /** The client; the server is looked for when it is not known yet. Rejects with LfsError where there is none. */
  client(signal?: AbortSignal): Promise<LfsClient>;
  /** For messages, without credentials; undefined while it is not known. */
  readonly url: string | undefined;
  /** Why the server could not be asked the last time, for the user. */
  readonly problem: string | undefined;
}

/** Attributes as the mount shows them, with what the user edited in it. */
export interface MergedAttributes {
  /**
   * Rules for the files of a folder of the mount, whether or not it is there: `/`-separated, no leading slash, latin1,
   * `''` for the root.
   */
  mergedRules(folder: string, signal?: AbortSignal): Awaitable<AttributeRules>;
}

/** Locks as a mount sees them. */
export interface MountLocks extends Pick<MountLfs, 'lock' | 'unlock' | 'locks' | 'verifyLocks'> {
  /**
   * Who has locked a path of the mount (latin1, no leading slash), from memory: undefined: nobody, or not known; `''`:
   * somebody whom the server does not name.
   */
  lockedBy(path: string): { readonly owner: string; readonly isOurs: boolean } | undefined;
}

/** The parts. The caller closes them, after what is made of them. */
export interface MountLfsParts {
  readonly mountId: string;
  /** Path of the mount in the monorepo: leading slash, no trailing one (`/` for all). UTF-8 text. */
  readonly repositoryPath: string;
  /** The lower layer as the repository has it: a pointer is a small file. */
  readonly plain: Layer;
  /** The lower layer as the mount shows it; entries of `plain` are good for it. `plain` itself with `lfs.smudge = off`. */
  readonly layer: Layer & Partial<Pick<LfsLayer, 'object'>>;
  readonly upperDir: string;
  /** Where trees and blobs come from, and the state of the repository that the mount shows. */
  readonly objects: LazyObjects;
  readonly snapshot: Snapshot;
  /** Whether every pointer reads as the large file, whatever the attributes say (`lfs.smudge = any-pointer`). */
  readonly anyPointer: boolean;
  readonly downloads: LfsDownloads;
  readonly server: LfsClientProvider;
  readonly attributes: MergedAttributes;
  /** Attributes of the lower folders. */
  readonly lowerAttributes: AttributeSource;
  readonly pointers: PointerStore;
  /** Undefined where the server has no locks. */
  readonly locks: MountLocks | undefined;
  /** Folders that were checked out, of all mounts. */
  readonly activeFolders: ActiveFolders;
  /** A folder of this mount alone, for hashes and uploads that are known; made when missing. Absolute. */
  readonly stateFolder: string;
  /** Large files that are transferred at once. */
  readonly concurrency: number;
  /** Bytes that may still be fetched ahead: the store's limit and the disk's room; undefined: no limit. */
  readonly roomLeft: () => number | undefined;
  readonly log: Logger;
}

/** Large files of one mount, for the side that serves it. */
export interface ServedLfs extends MountLfs {
  /** Begins what runs in the background: fetching the folders that were checked out. */
  start(): void;
  /** Folders of this mount that were checked out, as far as is known: no leading slash, `''` for the root. UTF-8 text. */
  readonly activeFolders: readonly string[];
  /** Objects that must stay in the store: changes that were not pushed refer to them, or an active folder has them. */
  neededOids(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Ends what runs, and keeps what was learned. */
  close(): Promise<void>;
}
