// The contract of the LFS client: one server, spoken to by the batch and the locking API.
import type { LfsError } from '../lfs-error.ts';
import type { LfsObject, LfsOid, WantedObject } from '../lfs-object.ts';

/** What a request carries. */
export interface LfsRequest {
  /** Gives up; the promise rejects with LfsError of kind `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** Where and how an object is transferred, as the server said. Values are secret: they are never logged. */
export interface TransferAction {
  readonly href: string;
  readonly header: Readonly<Record<string, string>>;
  /** Milliseconds since 1970, by the local clock; undefined: it does not expire. */
  readonly expiresAtMs: number | undefined;
}

/** The body of an answer to a download. */
export interface DownloadBody {
  /** Position of the body's first byte in the object: 0 where the server ignored the range. */
  readonly start: number;
  /** The bytes. Throws LfsError when the connection breaks or falls silent before the promised end. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Gives the connection up; `chunks` then ends. */
  cancel(): void;
}

/** An object to upload: the caller opens it each time it has to be sent. */
export interface UploadSource extends WantedObject {
  /** A new read-only descriptor; the client closes it. Throws when the content is not what the oid names any more. */
  open(): number;
}

/** What became of one upload. */
export type UploadOutcome = 'sent' | 'present';

/** Hears of the progress of uploads. */
export interface UploadObserver {
  /** So many bytes of an object were sent; negative when a failed attempt begins anew. */
  readonly onBytes?: (oid: LfsOid, bytes: number) => void;
  readonly onDone?: (oid: LfsOid, outcome: UploadOutcome | LfsError) => void;
}

/** A lock of a path. */
export interface LfsLock {
  readonly id: string;
  /** From the repository's root, no leading slash, as the server has it. */
  readonly path: string;
  /** As the server wrote it, RFC 3339. */
  readonly lockedAt: string;
  /** Undefined where the server does not tell (Mega never does). */
  readonly owner: string | undefined;
}

/** All locks, the user's own apart, as far as the server can tell. */
export interface VerifiedLocks {
  readonly ours: readonly LfsLock[];
  readonly theirs: readonly LfsLock[];
}

/** An LFS server. Requests are tried again where that can help; what remains is thrown as LfsError. */
export interface LfsClient {
  /** For messages; without credentials. */
  readonly url: string;
  /**
   * How objects are downloaded, and which cannot be, by oid. Calls of the same moment share a request; what was answered
   * is kept until it expires, so asking ahead for a folder spares its files a request each. Rejects when the server
   * could not be asked at all.
   */
  locate(
    objects: readonly WantedObject[],
    request?: LfsRequest,
  ): Promise<ReadonlyMap<LfsOid, TransferAction | LfsError>>;
  /** Forgets what was answered of an object: its action turned out to be expired or wrong. */
  forget(oid: LfsOid): void;
  /**
   * One attempt to download from `start` (default 0) up to and including `end` (default: the object's end). Rejects with
   * LfsError; the caller decides about other attempts. The error's `retryAfterMs` says when the server wants the next.
   */
  download(
    object: LfsObject,
    action: TransferAction,
    range: { readonly start: number; readonly end?: number | undefined },
    request?: LfsRequest,
  ): Promise<DownloadBody>;
  /**
   * Uploads what the server lacks, several at once, each verified where the server asks for it. Resolves with what
   * became of each object; rejects when the server could not be asked at all.
   */
  upload(
    sources: readonly UploadSource[],
    observer?: UploadObserver,
    request?: LfsRequest,
  ): Promise<ReadonlyMap<LfsOid, UploadOutcome | LfsError>>;
  /** Which of these objects the server has. */
  present(objects: readonly LfsObject[], request?: LfsRequest): Promise<ReadonlySet<LfsOid>>;
  readonly locks: LfsLocksClient;
  /** Closes connections; requests under way reject. */
  close(): Promise<void>;
}

/** The locking API. Paths are from the repository's root, no leading slash. */
export interface LfsLocksClient {
  /** Rejects with kind `conflict` where the path is locked; the message names the owner where the server tells. */
  lock(path: string, request?: LfsRequest): Promise<LfsLock>;
  /** Rejects with kind `missing` for an unknown id, `refused` for somebody else's lock without `force`. */
  unlock(id: string, options: { readonly force: boolean }, request?: LfsRequest): Promise<LfsLock>;
  list(
    filter?: { readonly path?: string; readonly id?: string; readonly limit?: number },
    request?: LfsRequest,
  ): Promise<readonly LfsLock[]>;
  verify(request?: LfsRequest): Promise<VerifiedLocks>;
}
