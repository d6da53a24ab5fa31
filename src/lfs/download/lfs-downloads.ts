// The contract of downloads: large files as the local store has them, or while they arrive.
import type { ArrivingContent } from '../../util/arriving-content.ts';
import type { Awaitable } from '../../util/types.ts';
import type { LfsClient, LfsRequest } from '../client/lfs-client.ts';
import type { LfsObject, LfsOid, WantedObject } from '../lfs-object.ts';

/** Options of a download. */
export interface DownloadRequest extends LfsRequest {
  /** `demand`: a process waits for it. `prefetch`: behind all demands. Default `demand`. */
  readonly priority?: 'demand' | 'prefetch';
}

/** A transfer that is under way. */
export interface TransferStatus {
  readonly oid: LfsOid;
  readonly path: string;
  readonly size: number;
  /** Bytes that are on the disk. */
  readonly bytes: number;
  readonly readers: number;
}

/** A transfer that failed lately. */
export interface TransferFailure {
  readonly oid: LfsOid;
  /** What the pointer says. */
  readonly size: number;
  readonly path: string;
  /** In words for the user. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** The local store of large files, and what fetches into it. Rejects with LfsError, or ErrnoError for the local disk. */
export interface LfsDownloads {
  /** Whether the store has the complete object; of that size, where one is given. */
  has(oid: LfsOid, size?: number): boolean;
  /** A new read-only descriptor of the complete object if the store has it, of that size; the caller closes it. */
  openStored(object: LfsObject): number | undefined;
  /**
   * Opens an object to read: a descriptor of the complete one, which the caller closes, else its content while it
   * arrives, whose transfer this starts. Resolves when the server agreed to send it.
   */
  open(
    client: LfsClient,
    object: WantedObject,
    request?: DownloadRequest,
  ): Awaitable<number | ArrivingContent>;
  /**
   * Resolves when the store has the complete, verified object. Shares a transfer that is under way. `onBytes` hears of
   * bytes as they arrive; once of all that was there before.
   */
  fetch(
    client: LfsClient,
    object: WantedObject,
    request?: DownloadRequest & { readonly onBytes?: (bytes: number) => void },
  ): Promise<void>;
  /**
   * Takes over a complete local file (a git-lfs store, an upload), verified. False: it is not that object. It shares
   * blocks where the disk can, else it is copied; with `mayLink` (default: not) it becomes a second name of that file,
   * which nobody may write to any more.
   */
  adopt(
    object: WantedObject,
    path: string,
    request?: LfsRequest & { readonly mayLink?: boolean },
  ): Promise<boolean>;
  /** Removes complete objects that nobody has open and nothing protects; which are gone, and what they took. */
  remove(oids: readonly LfsOid[]): readonly { readonly oid: LfsOid; readonly size: number }[];
  /** Complete objects of the store. */
  stored(): AsyncIterable<{ readonly oid: LfsOid; readonly size: number }>;
  status(): { readonly transfers: readonly TransferStatus[]; readonly failures: readonly TransferFailure[] };
  /** Called for each object that has come, and was verified. */
  onArrived(listener: (object: LfsObject) => void): void;
  /** Called for each failure, once a transfer. */
  onFailure(listener: (failure: TransferFailure) => void): void;
  /** Ends all transfers; what has arrived is kept for the next start. Resolves when nothing uses the folder any more. */
  close(): Promise<void>;
}
